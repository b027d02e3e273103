//! A door in front of a server: everything goes through it unchanged, is counted, and may be slowed down.
//!
//! Requests are read only as far as it takes to know where the next one begins; answers are passed on unread.

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A running relay.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<thread::JoinHandle<()>>,
}

struct Shared {
    to: String,
    asked: Mutex<Vec<(String, String)>>,
    connections: AtomicU64,
    passed: AtomicU64,
    /// Bytes a second, both ways together; 0 for as fast as it goes.
    rate: AtomicU64,
    /// When the next byte may pass.
    next: Mutex<Instant>,
    stop: AtomicBool,
}

impl Relay {
    /// A door on a free port to `127.0.0.1:PORT`.
    pub fn start(to: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: to.to_owned(),
            asked: Mutex::default(),
            connections: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            next: Mutex::new(Instant::now()),
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
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    let shared = shared.clone();
                    // A broken connection is the right of either side.
                    thread::spawn(move || drop(pass(stream, &shared)));
                }
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `127.0.0.1:PORT/REPOSITORY`.
    pub fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.address)
    }

    /// Lets no more than so many bytes a second pass; 0 for as fast as it goes.
    pub fn throttle(&self, rate: u64) {
        self.shared.rate.store(rate, Ordering::SeqCst);
    }

    /// Method and target of each request so far.
    pub fn asked(&self) -> Vec<(String, String)> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// How often anything was.
    pub fn times(&self) -> u64 {
        self.shared.asked.lock().unwrap().len() as u64
    }

    /// Forgets what was asked so far.
    pub fn clear(&self) {
        self.shared.asked.lock().unwrap().clear();
        self.shared.connections.store(0, Ordering::SeqCst);
        self.shared.passed.store(0, Ordering::SeqCst);
    }

    /// How many connections were made.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many bytes of bodies and answers passed.
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// The requests that brought blobs out or in, or began to; asking whether one is there is not among them.
    pub fn blob_traffic(&self) -> Vec<String> {
        let about = |(method, target): &(String, String)| target.contains("/blobs/") && method != "HEAD";
        self.asked().iter().filter(|one| about(one)).map(|(method, target)| format!("{method} {target}")).collect()
    }

    /// How many requests had one of these methods and a target with that text in it.
    pub fn count(&self, methods: &[&str], part: &str) -> usize {
        let hit = |(method, target): &&(String, String)| methods.contains(&method.as_str()) && target.contains(part);
        self.asked().iter().filter(hit).count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn pass(client: TcpStream, shared: &Arc<Shared>) -> Result<()> {
    let mut server = TcpStream::connect(&shared.to)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let back = thread::spawn({
        let (mut from, mut to, shared) = (server.try_clone()?, client.try_clone()?, shared.clone());
        move || {
            let _ = flow(&mut from, &mut to, u64::MAX, &shared);
            let _ = to.shutdown(Shutdown::Write);
        }
    });
    let ended = requests(&mut BufReader::new(client), &mut server, shared);
    // Where the client is gone in the middle of a request, the server has to see that too.
    let _ = server.shutdown(if ended.is_ok() { Shutdown::Write } else { Shutdown::Both });
    let _ = back.join();
    ended
}

fn requests(client: &mut BufReader<TcpStream>, server: &mut TcpStream, shared: &Shared) -> Result<()> {
    loop {
        let mut head = Vec::new();
        loop {
            let at = head.len();
            if client.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
            if head[at..].iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                break;
            }
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut words = text.split(' ').map(str::to_owned);
        let line = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        shared.asked.lock().unwrap().push(line);
        server.write_all(&head)?;
        let field = |name: &str| {
            let mut lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
            lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        if field("Transfer-Encoding").is_some() {
            loop {
                let mut line = Vec::new();
                client.read_until(b'\n', &mut line)?;
                server.write_all(&line)?;
                let size = u64::from_str_radix(String::from_utf8_lossy(&line).trim(), 16);
                let size = size.map_err(std::io::Error::other)?;
                // The line end after the chunk goes along.
                flow(client, server, size + 2, shared)?;
                if size == 0 {
                    break;
                }
            }
        } else {
            let length = field("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
            flow(client, server, length, shared)?;
        }
    }
}

/// Passes on so many bytes, or all there are where that is more than will ever come.
fn flow(from: &mut impl Read, to: &mut impl Write, length: u64, shared: &Shared) -> Result<()> {
    let mut buffer = [0; 32 * 1024];
    let mut left = length;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = from.read(&mut buffer[..most])?;
        if count == 0 {
            let all = length == u64::MAX;
            return if all { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) };
        }
        left -= count as u64;
        shared.passed.fetch_add(count as u64, Ordering::SeqCst);
        slow_down(count as u64, shared);
        to.write_all(&buffer[..count])?;
    }
    Ok(())
}

fn slow_down(count: u64, shared: &Shared) {
    let rate = shared.rate.load(Ordering::SeqCst);
    if rate == 0 {
        return;
    }
    let wait = {
        let mut next = shared.next.lock().unwrap();
        let now = Instant::now();
        *next = (*next).max(now) + Duration::from_nanos(count * 1_000_000_000 / rate);
        next.saturating_duration_since(now)
    };
    // Short waits add up until they are worth a sleep.
    if wait > Duration::from_millis(2) {
        thread::sleep(wait);
    }
}
