//! Servers for the tests beside this file: each says, byte by byte, what a server may get wrong.

use super::{Http, Limits, Options};
use crate::io::world::{World, instant};
use crate::pure::http::fault::Fault;
use crate::pure::http::message::{Method, Request, Response};
use crate::pure::http::url::Url;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Runs a server that handles each connection, numbered from 0, in a thread of its own.
pub fn server(handle: impl Fn(usize, TcpStream) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let handle = handle.clone();
            thread::spawn(move || handle(number, stream.unwrap()));
        }
    });
    address
}

/// Reads one request with its body; empty where the client has closed.
pub fn read_request(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut one = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut one), Ok(1)) {
            return String::new();
        }
        bytes.push(one[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let lower = head.to_lowercase();
    let length = lower.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8_lossy(&body)
}

/// Closes in order: says so, and reads what is still on its way, so that no reset is sent.
pub fn shut(mut stream: TcpStream) {
    let _ = stream.flush();
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

pub fn world(environment: &[(&str, &str)]) -> World {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    World { environment, log: Box::new(|_| ()), stdin: Box::new(|_| Ok(Vec::new())), started: instant() }
}

pub fn options() -> Options {
    Options { user_agent: "tagwright/test".to_owned(), ..Options::default() }
}

pub fn http(environment: &[(&str, &str)]) -> Http {
    Http::new(&world(environment), &options()).unwrap()
}

/// Limits that no test is to run into unless it lowers them.
pub fn limits() -> Limits {
    let seconds = Duration::from_secs;
    Limits { connect: seconds(10), idle: seconds(10), until: Some(instant() + seconds(20)), body: 1 << 20 }
}

pub fn url(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}/v2/")).unwrap()
}

pub fn get(address: SocketAddr) -> Request {
    Request::new(Method::Get, url(address))
}

pub fn ask(http: &Http, request: &Request, limits: &Limits) -> Result<Response, Fault> {
    http.send(request, limits)
}
