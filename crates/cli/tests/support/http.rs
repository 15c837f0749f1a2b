//! Requests to `remotemedia serve`.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Status line and body of the answer of the server whose signaling is at `signaling_url`.
pub(crate) fn http(signaling_url: &str, method: &str, path: &str, body: &str) -> (String, String) {
    let address = signaling_url.strip_prefix("ws://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}
