//! The door over TLS: a real handshake, a certificate that is renewed while it serves, and what is said
//! about files that do not fit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::harness::events;
use crate::harness::process::{Place, Server, free_address};
use crate::harness::tables;
use crate::harness::wait::wait_until;

/// Self-signed certificates for `localhost`, valid for a hundred years; their keys protect nothing.
fn pem(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// A place whose certificate is `cert.pem` in it.
fn place(certificate: &str) -> Place {
    let place = Place::new();
    install(&place, certificate);
    place
        .with("RINGLAKE_TLS_CERTIFICATE", "cert.pem")
        .with("RINGLAKE_TLS_KEY", "key.pem")
        .with("RINGLAKE_PUBLIC_URL", "")
}

fn install(place: &Place, certificate: &str) {
    for (end, name) in [("pem", "cert.pem"), ("key", "key.pem")] {
        std::fs::copy(pem(&format!("{certificate}.{end}")), place.path().join(name)).unwrap();
    }
}

fn serve(place: &Place) -> Server {
    let address = free_address();
    let server = place.serve_unready(address, &["serve"]);
    wait_until("the door to open", || std::net::TcpStream::connect(address).is_ok());
    server
}

/// The answer to a request by a client that trusts this certificate and no other.
#[tokio::main(flavor = "current_thread")]
async fn ask(address: SocketAddr, trusted: &str, request: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem(trusted)).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn post(path: &str) -> String {
    let event = String::from_utf8(events::fixture("freshcaller/onCallCreate.json")).unwrap();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{event}",
        event.len()
    )
}

#[test]
fn events_come_in_over_tls_and_nothing_else_does() {
    let place = place("first");
    let server = serve(&place);
    assert!(place.ok(&["tokens"]).contains("https://127.0.0.1"), "the URL says so");
    let request = post(&place.route("freshcaller"));
    let answer = ask(server.address, "first.pem", &request).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        ask(server.address, "second.pem", &request).is_err(),
        "another certificate was expected"
    );
    let plain = server.try_post(&place.route("freshcaller"), b"{}");
    assert!(plain.is_err(), "{plain:?}");
    wait_until("the event to be written", || tables::events_written(&place) == 1);
}

#[test]
fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
    let place = place("first");
    let server = serve(&place);
    let hang_up = || {
        let pid = server.running.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    };
    let healthy = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let shows = |trusted: &str| {
        ask(server.address, trusted, healthy).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    };
    assert!(shows("first.pem"));

    // A key that does not belong to the certificate.
    std::fs::copy(pem("second.key"), place.path().join("key.pem")).unwrap();
    hang_up();
    wait_until("the mistake to be named", || {
        server.running.messages().contains("the old certificate stays in use")
    });
    assert!(shows("first.pem"));

    install(&place, "second");
    hang_up();
    wait_until("the new certificate to be shown", || shows("second.pem"));
}

#[test]
fn files_that_do_not_fit_are_named() {
    let place = place("first");
    place.file("empty.pem", "");
    for (certificate, key, code, says) in [
        ("cert.pem", "absent.pem", 1, "cannot use absent.pem for tls"),
        ("absent.pem", "key.pem", 1, "cannot use absent.pem for tls"),
        ("empty.pem", "key.pem", 1, "there is no certificate in the file"),
        ("cert.pem", "empty.pem", 1, "cannot use empty.pem for tls"),
        ("key.pem", "key.pem", 1, "there is no certificate in the file"),
        ("cert.pem", "", 2, "[tls] needs both certificate and key, or neither"),
        ("", "key.pem", 2, "[tls] needs both certificate and key, or neither"),
    ] {
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("RINGLAKE_TLS_CERTIFICATE", certificate).env("RINGLAKE_TLS_KEY", key);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{certificate} {key}: {text}");
        assert!(text.contains(says) && text.contains("hint:"), "{certificate} {key}: {text}");
        assert!(!text.contains("MIGH"), "{text}");
    }
}
