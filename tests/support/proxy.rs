//! A forward proxy that leads chosen names to servers on loopback: the way to meet `registry-1.docker.io` in a test.
//!
//! `CONNECT` is a tunnel; a request with an absolute address is passed on in plain HTTP.

use super::text::unbase64;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running proxy.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<thread::JoinHandle<()>>,
}

struct Shared {
    routes: HashMap<String, u16>,
    login: Option<(String, String)>,
    asked: Mutex<Vec<String>>,
    open: Mutex<Vec<TcpStream>>,
    stop: AtomicBool,
}

impl Proxy {
    /// Leads `host:port` to a port on loopback; any other place is a 502.
    pub fn start<const N: usize>(routes: [(&str, u16); N]) -> Self {
        Self::start_with(routes, None)
    }

    /// The same for those who log in to the proxy.
    pub fn start_with<const N: usize>(routes: [(&str, u16); N], login: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            routes: routes.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect(),
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
            asked: Mutex::default(),
            open: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming() {
                    if shared.stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let shared = shared.clone();
                    thread::spawn(move || drop(serve(stream, &shared)));
                }
            }
        });
        Self { port, shared, accepting: Some(accepting) }
    }

    /// The address for `HTTPS_PROXY`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address with a login in it.
    pub fn url_for(&self, user: &str, password: &str) -> String {
        format!("http://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// The request lines so far, without version.
    pub fn asked(&self) -> Vec<String> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.shared.open.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    shared.open.lock().unwrap().push(stream.try_clone()?);
    let mut client = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut login = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("proxy-authorization: basic ") {
            // The value's own case counts, so it is cut from the line as it came.
            login = line.trim_end().get(line.trim_end().len() - value.trim_end().len()..).and_then(unbase64);
        } else {
            head.push_str(&line);
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    shared.asked.lock().unwrap().push(format!("{method} {target}"));
    let wanted = shared.login.as_ref().map(|(user, password)| format!("{user}:{password}").into_bytes());
    if wanted.is_some() && wanted != login {
        return client
            .write_all(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=\"p\"\r\nContent-Length: 0\r\n\r\n");
    }
    let tunnel = method == "CONNECT";
    let place = if tunnel { target.clone() } else { absolute(&target).0 };
    let Some(port) = shared.routes.get(&place) else {
        return client.write_all(b"HTTP/1.1 502 No way\r\nContent-Length: 0\r\n\r\n");
    };
    let mut server = TcpStream::connect(("127.0.0.1", *port))?;
    server.set_nodelay(true)?;
    shared.open.lock().unwrap().push(server.try_clone()?);
    if tunnel {
        client.write_all(b"HTTP/1.1 200 Go on\r\n\r\n")?;
    } else {
        let head = head.replacen(&target, &absolute(&target).1, 1).replacen("\r\n", "\r\nConnection: close\r\n", 1);
        server.write_all(head.as_bytes())?;
    }
    let back = thread::spawn({
        let mut server = server.try_clone()?;
        move || {
            let _ = std::io::copy(&mut server, &mut client);
            let _ = client.shutdown(Shutdown::Write);
        }
    });
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        server.write_all(&buffer[..count])?;
    }
    let _ = server.shutdown(Shutdown::Write);
    let _ = back.join();
    Ok(())
}

/// Host with port, and path, of `http://host/path`.
fn absolute(target: &str) -> (String, String) {
    let rest = target.strip_prefix("http://").unwrap_or(target);
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    (host, if path.is_empty() { "/".to_owned() } else { path.to_owned() })
}
