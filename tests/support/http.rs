//! A small HTTP/1.1 server on loopback that does what it is told, sound or broken, and keeps a log.
//!
//! One thread per connection. The answers come from a function; who decides on them is another module's business.

use super::log::{Asked, Exchange, Log};
use super::reply::{Fault, Reply};
use super::text;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

type Handler = dyn Fn(&Asked) -> Reply + Send + Sync;
type Early = dyn FnMut(&Asked) -> Option<Cut> + Send;

/// How a request ends before its body was read.
pub struct Cut {
    /// How many bytes of the body are read.
    pub after: usize,
    /// What is answered then; the connection is closed after it.
    pub reply: Reply,
    /// Sees the request with the bytes that came.
    pub seen: Box<dyn FnOnce(&Asked) + Send>,
}

/// The longest body that the log keeps whole; of a longer one it keeps the beginning.
const LOGGED: usize = 1024 * 1024;

/// A listening server; dropping it closes every connection.
pub struct Listener {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<thread::JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    early: Mutex<Vec<Box<Early>>>,
    tls: Option<Arc<rustls::ServerConfig>>,
    latency: AtomicU64,
    /// When the last request came in.
    last: Mutex<Instant>,
    log: Mutex<Vec<Exchange>>,
    connections: AtomicUsize,
    refused_handshakes: AtomicUsize,
    open: Mutex<HashMap<usize, TcpStream>>,
    stop: AtomicBool,
}

impl Listener {
    /// A server on a free port that answers with what the function returns.
    pub fn start(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, handler)
    }

    /// The same in TLS.
    pub fn start_with(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            early: Mutex::default(),
            tls,
            latency: AtomicU64::new(0),
            last: Mutex::new(Instant::now()),
            log: Mutex::default(),
            connections: AtomicUsize::new(0),
            refused_handshakes: AtomicUsize::new(0),
            open: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let accepting = thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Address and port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address of the root, without a slash at its end.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Holds every answer back until no request has come for so long, but not longer than five times that.
    ///
    /// Requests that are sent side by side so overlap even where the machine is busy and they come in one by one.
    pub fn latency(&self, latency: Duration) {
        self.shared.latency.store(u64::try_from(latency.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Looks at each request before its body is read, and may end it there.
    pub fn early(&self, look: impl FnMut(&Asked) -> Option<Cut> + Send + 'static) {
        self.shared.early.lock().unwrap().push(Box::new(look));
    }

    /// What was asked so far.
    pub fn log(&self) -> Log {
        Log(self.shared.log.lock().unwrap().clone())
    }

    /// Forgets what was asked so far.
    pub fn clear(&self) {
        self.shared.log.lock().unwrap().clear();
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many TLS handshakes came to nothing.
    pub fn refused_handshakes(&self) -> usize {
        self.shared.refused_handshakes.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.shared.open.lock().unwrap().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// The address of a port on which nothing listens.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let id = shared.connections.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        let Ok(copy) = stream.try_clone() else { continue };
        shared.open.lock().unwrap().insert(id, copy);
        let shared = shared.clone();
        thread::spawn(move || {
            // A broken connection is the client's right.
            let _ = serve(stream, &shared, id);
            shared.open.lock().unwrap().remove(&id);
        });
    }
}

/// A connection, in TLS or not.
enum Wire {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, TcpStream>>),
}

impl Wire {
    fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    fn reset(&self) {
        let _ = socket2::SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared, id: usize) -> Result<()> {
    let wire = match &shared.tls {
        None => Wire::Plain(stream),
        Some(config) => {
            let mut stream = stream;
            let mut connection = rustls::ServerConnection::new(config.clone()).map_err(std::io::Error::other)?;
            while connection.is_handshaking() {
                if let Err(error) = connection.complete_io(&mut stream) {
                    shared.refused_handshakes.fetch_add(1, Ordering::SeqCst);
                    return Err(error);
                }
            }
            Wire::Tls(Box::new(rustls::StreamOwned::new(connection, stream)))
        }
    };
    let mut reader = BufReader::new(wire);
    let mut first = true;
    while let Some(mut asked) = read_head(&mut reader)? {
        asked.connection = id;
        asked.first = first;
        let cut = shared.early.lock().unwrap().iter_mut().find_map(|look| look(&asked));
        read_body(&mut reader, &mut asked, cut.as_ref().map(|cut| cut.after))?;
        let started = Instant::now();
        *shared.last.lock().unwrap() = started;
        let connecting = if first { 1 + usize::from(shared.tls.is_some()) } else { 0 };
        first = false;
        let ends = cut.is_some();
        let reply = match cut {
            None => (shared.handler)(&asked),
            Some(cut) => {
                (cut.seen)(&asked);
                cut.reply
            }
        };
        // Written into the log before it is sent, so that a client that has its answer finds it there.
        let at = {
            let mut log = shared.log.lock().unwrap();
            let status = if answers(&reply.fault) { reply.status } else { 0 };
            log.push(Exchange { asked: logged(&asked), status, started, ended: started, connecting });
            log.len() - 1
        };
        pause(shared, reply.delay);
        settle(shared, started);
        if let Some(exchange) = shared.log.lock().unwrap().get_mut(at) {
            exchange.ended = Instant::now();
        }
        let close = asked.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let goes_on = send(&mut reader, shared, &asked, &reply)?;
        if ends && goes_on {
            linger(&mut reader)?;
        }
        if close || ends || !goes_on {
            if let (Wire::Tls(stream), false) =
                (reader.get_mut(), matches!(reply.fault, Fault::Close | Fault::CloseAfter(_)))
            {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
            break;
        }
    }
    Ok(())
}

/// What the log keeps of a request.
fn logged(asked: &Asked) -> Asked {
    let start = &asked.body[..asked.body.len().min(LOGGED)];
    Asked {
        method: asked.method.clone(),
        target: asked.target.clone(),
        path: asked.path.clone(),
        query: asked.query.clone(),
        headers: asked.headers.clone(),
        body: start.to_vec(),
        ..*asked
    }
}

/// Says that nothing more is read and waits for the other side to close: a connection that is closed with bytes
/// unread is reset, and the answer may be lost with it.
fn linger(reader: &mut BufReader<Wire>) -> Result<()> {
    reader.get_ref().socket().shutdown(Shutdown::Write)?;
    hang(reader).map(drop)
}

fn answers(fault: &Fault) -> bool {
    !matches!(fault, Fault::Close | Fault::Reset | Fault::Hang | Fault::Raw(_))
}

/// Sleeps, but not longer than the server lives.
fn pause(shared: &Shared, length: Duration) {
    let end = Instant::now() + length;
    while !shared.stop.load(Ordering::SeqCst) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(20)));
    }
}

/// Waits until requests have stopped coming, as [`Listener::latency`] says.
fn settle(shared: &Shared, started: Instant) {
    let latency = Duration::from_millis(shared.latency.load(Ordering::SeqCst));
    while started.elapsed() < latency * 5 {
        let left = latency.saturating_sub(shared.last.lock().unwrap().elapsed());
        if left.is_zero() || shared.stop.load(Ordering::SeqCst) {
            return;
        }
        thread::sleep(left);
    }
}

fn read_line(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_head(reader: &mut BufReader<Wire>) -> Result<Option<Asked>> {
    let Some(line) = read_line(reader)? else { return Ok(None) };
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(std::io::Error::new(ErrorKind::InvalidData, line));
    };
    let mut asked = Asked { method: method.to_owned(), target: target.to_owned(), ..Asked::default() };
    while let Some(line) = read_line(reader)? {
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        asked.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    (asked.path, asked.query) = (text::percent_decoded(&path.replace('+', "%2B")), text::form(query));
    Ok(Some(asked))
}

/// Reads the body, or as much of it as is wanted.
fn read_body(reader: &mut BufReader<Wire>, asked: &mut Asked, most: Option<usize>) -> Result<()> {
    let most = most.map_or(u64::MAX, |most| most as u64);
    if asked.header("Expect").is_some() && most > 0 {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if asked.header("Transfer-Encoding").is_some() {
        while (asked.body.len() as u64) < most {
            let size = read_line(reader)?.unwrap_or_default();
            let size = u64::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            let left = most - asked.body.len() as u64;
            reader.by_ref().take(size.min(left)).read_to_end(&mut asked.body)?;
            if size > left {
                break;
            }
            read_line(reader)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = asked.header("Content-Length").and_then(|text| text.parse::<u64>().ok()) {
        reader.by_ref().take(length.min(most)).read_to_end(&mut asked.body)?;
        if (asked.body.len() as u64) < length.min(most) {
            return Err(std::io::Error::from(ErrorKind::UnexpectedEof));
        }
    }
    asked.length = asked.body.len();
    Ok(())
}

/// Sends the answer and says whether the connection may be used again.
fn send(reader: &mut BufReader<Wire>, shared: &Shared, asked: &Asked, reply: &Reply) -> Result<bool> {
    match &reply.fault {
        Fault::Close => return Ok(false),
        Fault::Reset => {
            reader.get_ref().reset();
            return Ok(false);
        }
        Fault::Hang => return hang(reader),
        Fault::Raw(bytes) => {
            reader.get_mut().write_all(bytes)?;
            return Ok(false);
        }
        _ => {}
    }
    let wire = reader.get_mut();
    let body: &[u8] = if asked.method == "HEAD" { &[] } else { &reply.body };
    let mut head = format!("HTTP/1.1 {} Told\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let bodiless = reply.status == 204 || reply.status == 304;
    match &reply.fault {
        Fault::Length(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
        Fault::Endless | Fault::Chunked | Fault::BadChunks => head.push_str("Transfer-Encoding: chunked\r\n"),
        Fault::Unannounced => head.push_str("Connection: close\r\n"),
        _ if bodiless || reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) => {}
        _ => head.push_str(&format!("Content-Length: {}\r\n", reply.body.len())),
    }
    if reply.fault == Fault::EndlessHeaders {
        wire.write_all(head.as_bytes())?;
        while !shared.stop.load(Ordering::SeqCst) {
            wire.write_all(format!("X-More: {}\r\n", "m".repeat(1000)).as_bytes())?;
        }
        return Ok(false);
    }
    head.push_str("\r\n");
    let sound = !matches!(reply.fault, Fault::Drip(_) | Fault::Endless | Fault::BadChunks | Fault::Chunked);
    let upto = match &reply.fault {
        Fault::CloseAfter(bytes) | Fault::ResetAfter(bytes) | Fault::HangAfter(bytes) => (*bytes).min(body.len()),
        _ => body.len(),
    };
    let mut bytes = head.into_bytes();
    if sound {
        bytes.extend_from_slice(&body[..upto]);
    }
    wire.write_all(&bytes)?;
    wire.flush()?;
    match &reply.fault {
        Fault::HangAfter(_) => hang(reader),
        Fault::ResetAfter(_) => {
            // The bytes before the reset are to arrive: a reset throws away what the other side has not read.
            pause(shared, Duration::from_millis(100));
            reader.get_ref().reset();
            Ok(false)
        }
        Fault::CloseAfter(_) | Fault::Length(_) | Fault::Unannounced | Fault::CloseLater => Ok(false),
        Fault::Drip(every) => {
            for byte in body {
                wire.write_all(&[*byte])?;
                pause(shared, *every);
            }
            Ok(true)
        }
        Fault::Endless => {
            let filler = if body.is_empty() { vec![b' '; 8192] } else { body.to_vec() };
            while !shared.stop.load(Ordering::SeqCst) {
                chunk(wire, &filler)?;
            }
            Ok(false)
        }
        Fault::BadChunks => {
            wire.write_all(b"zz\r\n")?;
            wire.write_all(body)?;
            Ok(false)
        }
        Fault::Chunked => {
            for part in body.chunks(1000) {
                chunk(wire, part)?;
            }
            wire.write_all(b"0\r\n\r\n")?;
            Ok(true)
        }
        _ => {
            let closes = |(name, value): &(String, String)| {
                name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close")
            };
            Ok(!reply.headers.iter().any(closes))
        }
    }
}

fn chunk(wire: &mut Wire, bytes: &[u8]) -> Result<()> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    wire.write_all(&framed)
}

/// Waits until the other side goes away; what it sends meanwhile is dropped.
fn hang(reader: &mut BufReader<Wire>) -> Result<bool> {
    let mut sink = [0; 1024];
    while reader.read(&mut sink)? > 0 {}
    Ok(false)
}
