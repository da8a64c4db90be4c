//! Whether a client has hung up while its statement computes: the protocol's own loop reads the socket only
//! between statements, and would find out when it writes the answer.

use std::io;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// The socket, and what ends when the other side has closed it.
pub fn watched(socket: TcpStream) -> io::Result<(TcpStream, impl Future<Output = ()>)> {
    let socket = socket.into_std()?;
    let second = TcpStream::from_std(socket.try_clone()?)?;
    let socket = TcpStream::from_std(socket)?;
    Ok((socket, async move {
        while let Ok(ready) = second.ready(Interest::READABLE).await {
            if ready.is_read_closed() || ready.is_error() {
                return;
            }
            // What there is to read is for the protocol; the next news is awaited.
            let news: io::Result<()> =
                second.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
            drop(news);
        }
    }))
}
