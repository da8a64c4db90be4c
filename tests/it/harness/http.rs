//! The smallest HTTP/1.1 client that can also misbehave: one request a connection, over a socket.
//!
//! A library's client would hide what some tests are about: bodies that are cut off, or sent on
//! after the answer has come.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body's JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }
}

pub fn get(address: SocketAddr, path: &str) -> std::io::Result<Response> {
    send(address, "GET", path, &[], b"")
}

pub fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Response> {
    send(address, "POST", path, headers, body)
}

pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Response> {
    let length = body.len().to_string();
    let mut headers = headers.to_vec();
    headers.push(("content-length", &length));
    let mut stream = open(address, method, path, &headers)?;
    stream.write_all(body)?;
    read(&mut stream)
}

/// Posts `length` bytes piece by piece, with or without saying so beforehand, and never holds them.
/// The server may answer before it has them all.
pub fn post_endless(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    length: usize,
    announced: bool,
) -> std::io::Result<Response> {
    let size = length.to_string();
    let mut headers = headers.to_vec();
    headers.push(if announced {
        ("content-length", &size)
    } else {
        ("transfer-encoding", "chunked")
    });
    let mut stream = open(address, "POST", path, &headers)?;
    let piece = [b' '; 1 << 16];
    let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
    let data: &[u8] = if announced { &piece } else { &chunk };
    for _ in 0..length / piece.len() {
        if stream.write_all(data).is_err() {
            break;
        }
    }
    read(&mut stream)
}

fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    Ok(stream)
}

fn read(stream: &mut TcpStream) -> std::io::Result<Response> {
    let mut bytes = Vec::new();
    // A server that answers early closes while we still send: what it said before counts.
    let ended = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    match (Response::parse(&text), ended) {
        (Some(response), _) => Ok(response),
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}
