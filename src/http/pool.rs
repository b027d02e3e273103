//! Connections between two requests: left by one that is answered, made ahead for one that is to come, or made for one
//! that has got another meanwhile.
//!
//! A request takes what is idle. Where nothing is, a connection is made beside what is under way to the same server, and
//! the request goes on whichever comes first: the new one, or one whose request has been answered. So it never waits
//! longer than for a connection of its own, and less where one more request on a warm connection takes less.

use crate::http::stream::Limit;
use crate::http::transport::Channel;
use crate::pure::http::{Fault, Origin};
use crate::threads::{WIDTH, lock};
use crate::world::instant;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

/// Idle connections kept per server, as many as there are threads at most.
const KEPT_PER_SERVER: usize = WIDTH;

/// Idle connections kept in all.
const KEPT: usize = 4 * WIDTH;

/// How long a connection counts on which nothing was asked yet; servers may close one that nothing comes on.
const UNUSED_FOR: Duration = Duration::from_secs(5);

/// The connections of a run that no request is under way on.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Idle>,
    servers: Vec<Server>,
}

struct Idle {
    origin: Origin,
    since: Instant,
    /// Nothing was asked on it yet.
    unused: bool,
    channel: Channel,
}

/// What goes on at one server.
struct Server {
    origin: Origin,
    /// Connections with a request under way.
    busy: usize,
    /// Connections that are being made for requests that wait, or have got another meanwhile.
    coming: usize,
    /// Requests that wait for a connection.
    waiting: usize,
    /// Why connections could not be made that requests wait for.
    failed: Vec<Fault>,
    /// Connections made ahead, ever.
    ahead: usize,
}

impl State {
    fn server(&mut self, origin: &Origin) -> &mut Server {
        let at = self.servers.iter().position(|server| server.origin == *origin).unwrap_or_else(|| {
            let origin = origin.clone();
            self.servers.push(Server { origin, busy: 0, coming: 0, waiting: 0, failed: Vec::new(), ahead: 0 });
            self.servers.len() - 1
        });
        &mut self.servers[at]
    }

    /// The connection that was idle for the shortest time, if that is short enough and the server has not closed it.
    fn take(&mut self, origin: &Origin, kept_for: Duration) -> Option<Idle> {
        let now = instant();
        loop {
            let may_serve = |idle: &Idle| {
                let limit = if idle.unused { kept_for.min(UNUSED_FOR) } else { kept_for };
                idle.origin == *origin && now < idle.since + limit
            };
            let at = self.idle.iter().rposition(may_serve)?;
            let mut idle = self.idle.remove(at);
            if idle.channel.is_open() {
                return Some(idle);
            }
        }
    }

    fn keep(&mut self, origin: &Origin, unused: bool, channel: Channel) {
        self.idle.push(Idle { origin: origin.clone(), since: instant(), unused, channel });
        let here = self.idle.iter().filter(|idle| idle.origin == *origin).count();
        if here > KEPT_PER_SERVER {
            let oldest = self.idle.iter().position(|idle| idle.origin == *origin);
            oldest.map(|at| self.idle.remove(at));
        } else if self.idle.len() > KEPT {
            self.idle.remove(0);
        }
    }
}

impl Pool {
    /// A connection for a request: one that was idle for less than `kept_for`, one that becomes idle, or the one that
    /// `dial` makes.
    ///
    /// # Errors
    /// Why it could not be made; that `limit` has passed.
    pub fn connect(
        self: &Arc<Self>,
        origin: &Origin,
        kept_for: Duration,
        limit: Limit,
        dial: impl Fn() -> Result<Channel, Fault> + Clone + Send + 'static,
    ) -> Result<Lent, Fault> {
        let mut state = lock(&self.state);
        if let Some(idle) = state.take(origin, kept_for) {
            let channel = if idle.unused { idle.channel.kept() } else { idle.channel };
            return Ok(self.lend(state, origin, channel));
        }
        // Nothing but a new one will do, or nothing else is to come.
        let server = state.server(origin);
        if kept_for.is_zero() || server.busy + server.coming == 0 {
            drop(state);
            let channel = dial()?;
            return Ok(self.lend(lock(&self.state), origin, channel));
        }
        server.waiting += 1;
        let outcome = loop {
            if let Some(idle) = state.take(origin, kept_for) {
                break Ok(idle.channel);
            }
            let server = state.server(origin);
            if let Some(fault) = server.failed.pop() {
                break Err(fault);
            }
            if server.coming < server.waiting {
                server.coming += 1;
                drop(state);
                let (pool, origin, dial) = (self.clone(), origin.clone(), dial.clone());
                let make = move || pool.made(&origin, dial());
                // Without a thread for it, it is made here.
                if thread::Builder::new().spawn(make.clone()).is_err() {
                    make();
                }
                state = lock(&self.state);
                continue;
            }
            let left = match limit.left() {
                Ok(left) => left.unwrap_or(UNUSED_FOR),
                Err(fault) => break Err(fault),
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        let server = state.server(origin);
        server.waiting -= 1;
        server.failed.truncate(server.waiting);
        outcome.map(|channel| self.lend(state, origin, channel))
    }

    /// Makes a connection for a request that is to come: of all together, no server gets more than requests at once. That
    /// it cannot be made is for that request to say.
    pub fn ahead(&self, origin: &Origin, dial: impl FnOnce() -> Result<Channel, Fault>) {
        let mut state = lock(&self.state);
        let server = state.server(origin);
        if server.ahead == WIDTH {
            return;
        }
        server.ahead += 1;
        drop(state);
        if let Ok(channel) = dial() {
            lock(&self.state).keep(origin, true, channel);
            self.changed.notify_all();
        }
    }

    /// Notes what became of a connection that a request has waited for.
    fn made(&self, origin: &Origin, outcome: Result<Channel, Fault>) {
        let mut state = lock(&self.state);
        let server = state.server(origin);
        server.coming -= 1;
        match outcome {
            Ok(channel) => state.keep(origin, true, channel),
            Err(fault) if server.coming < server.waiting => server.failed.push(fault),
            Err(_) => {}
        }
        self.changed.notify_all();
    }

    fn lend(self: &Arc<Self>, mut state: MutexGuard<State>, origin: &Origin, channel: Channel) -> Lent {
        state.server(origin).busy += 1;
        Lent { channel: Some(channel), is_done: false, origin: origin.clone(), pool: self.clone() }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

/// A connection with a request under way; it comes back by itself.
#[derive(Debug)]
pub(super) struct Lent {
    /// Gone only while this is dropped.
    channel: Option<Channel>,
    is_done: bool,
    origin: Origin,
    pool: Arc<Pool>,
}

impl Lent {
    fn channel(&mut self) -> &mut Channel {
        self.channel.as_mut().expect("it is there until this is dropped")
    }
}

impl Transport for Lent {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.channel().buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.channel().transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.channel().await_input(timeout)
    }

    /// Asked by ureq once, when the reply has been read and the connection could be kept.
    fn is_open(&mut self) -> bool {
        self.is_done = self.channel().is_open();
        self.is_done
    }

    fn is_tls(&self) -> bool {
        self.channel.as_ref().is_some_and(Channel::is_tls)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut state = lock(&self.pool.state);
        state.server(&self.origin).busy -= 1;
        if let Some(channel) = self.channel.take().filter(|_| self.is_done) {
            state.keep(&self.origin, false, channel);
        }
        self.pool.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Http;
    use crate::http::testing::{ask, get, http, limits, read_request, server, shut, stay};
    use crate::pure::http::message::{Method, Request};
    use crate::pure::http::{Phase, Url};
    use std::io::Write;
    use std::net::SocketAddr;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::ThreadId;

    /// Answers with the number of the connection that a request came on.
    fn numbering() -> SocketAddr {
        server(|number, mut stream| {
            while !read_request(&mut stream).is_empty() {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}").unwrap();
            }
        })
    }

    #[test]
    fn a_connection_that_was_made_ahead_serves_the_next_request_that_needs_one() {
        let (http, request) = (http(&[]), get(numbering()));
        let ask = || ask(&http, &request, &limits()).unwrap().body;
        http.dial.ahead(&request.url, &limits());
        assert_eq!((ask(), ask()), (b"0".to_vec(), b"0".to_vec()));
        let incoming = http.send(&request, None, &limits()).unwrap();
        http.dial.ahead(&request.url, &limits());
        assert_eq!(ask(), b"1");
        drop(incoming);
    }

    #[test]
    fn one_that_the_server_has_closed_meanwhile_is_made_again() {
        let address = server(|number, mut stream| match number {
            0 => shut(stream),
            _ => {
                read_request(&mut stream);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        let (http, request) = (http(&[]), get(address));
        http.dial.ahead(&request.url, &limits());
        assert_eq!(ask(&http, &request, &limits()).unwrap().status, 200);
    }

    #[test]
    fn no_server_gets_more_than_requests_at_once() {
        let (http, url, mut made) = (http(&[]), get(numbering()).url, 0);
        for _ in 0..2 * WIDTH {
            http.dial.pool.ahead(url.origin(), || {
                made += 1;
                http.dial.reach(&url, None, LIMIT).map(|stream| Channel::new(stream, false))
            });
        }
        assert_eq!((made, lock(&http.dial.pool.state).idle.len()), (WIDTH, WIDTH));
    }

    #[test]
    fn of_each_server_so_many_are_kept_and_so_many_of_all() {
        let (http, url, mut state) = (http(&[]), get(numbering()).url, State::default());
        let mut keep = |host: &str, count: usize| {
            let origin = |host: &str| Url::parse(&format!("https://{host}.example/")).unwrap().origin().clone();
            for _ in 0..count {
                let stream = http.dial.reach(&url, None, LIMIT).unwrap();
                state.keep(&origin(host), false, Channel::new(stream, false));
            }
            ["a", "b", "c", "d", "e"].map(|host| state.idle.iter().filter(|idle| idle.origin == origin(host)).count())
        };
        assert_eq!(keep("a", 1), [1, 0, 0, 0, 0]);
        assert_eq!(keep("b", 17), [1, 16, 0, 0, 0]);
        assert_eq!(keep("c", 16), [1, 16, 16, 0, 0]);
        assert_eq!(keep("d", 16), [1, 16, 16, 16, 0]);
        assert_eq!(keep("e", 15), [1, 16, 16, 16, 15]);
        assert_eq!(keep("e", 1), [0, 16, 16, 16, 16]);
    }

    #[test]
    fn that_it_cannot_be_made_is_left_for_the_request_to_say() {
        let http = http(&[]);
        http.dial.ahead(&Url::parse("http://127.0.0.1:1/v2/").unwrap(), &limits());
        assert!(lock(&http.dial.pool.state).idle.is_empty());
    }

    const LIMIT: Limit = Limit { until: None, what: Phase::Connect, idle: None };
    const MINUTE: Duration = Duration::from_secs(60);

    /// Requests to one server, whose connections are made, or fail, when the test says so.
    struct Requests {
        http: Http,
        url: Url,
        /// By which threads connections were made.
        made: Arc<Mutex<Vec<ThreadId>>>,
        comes: Sender<Option<Fault>>,
        when: Arc<Mutex<Receiver<Option<Fault>>>>,
    }

    impl Requests {
        fn new() -> Self {
            let (comes, when) = channel();
            let (http, url) = (http(&[]), get(numbering()).url);
            Self { http, url, made: Arc::default(), comes, when: Arc::new(Mutex::new(when)) }
        }

        fn comes(&self, fault: Option<Fault>) {
            self.comes.send(fault).unwrap();
        }

        fn connect(&self, kept_for: Duration) -> Result<Lent, Fault> {
            let (dialer, url) = (self.http.dial.clone(), self.url.clone());
            let (made, when) = (self.made.clone(), self.when.clone());
            let dial = move || {
                lock(&made).push(thread::current().id());
                match lock(&when).recv() {
                    Ok(Some(fault)) => Err(fault),
                    _ => dialer.reach(&url, None, LIMIT).map(|stream| Channel::new(stream, false)),
                }
            };
            self.http.dial.pool.connect(self.url.origin(), kept_for, LIMIT, dial)
        }

        /// The first request, which has a connection of its own.
        fn first(&self) -> Lent {
            self.comes(None);
            self.connect(MINUTE).unwrap()
        }

        /// Returns once so many wait, and so many connections are on their way.
        fn until(&self, waiting: usize, coming: usize) {
            let is_so = |server: &Server| (server.waiting, server.coming) == (waiting, coming);
            while !is_so(lock(&self.http.dial.pool.state).server(self.url.origin())) {
                thread::yield_now();
            }
        }

        fn idle(&self) -> usize {
            lock(&self.http.dial.pool.state).idle.len()
        }
    }

    /// What ureq does with the connection of a request that has been answered.
    fn answered(mut lent: Lent) {
        assert!(lent.is_open());
    }

    fn refused() -> Fault {
        Fault::Connect { addr: "192.0.2.1:443".to_owned(), why: "connection refused".to_owned() }
    }

    #[test]
    fn a_request_goes_on_what_is_there_first_and_what_comes_later_is_for_the_next() {
        let requests = Requests::new();
        let first = requests.first();
        thread::scope(|scope| {
            let second = scope.spawn(|| requests.connect(MINUTE));
            requests.until(1, 1);
            answered(first);
            let second = second.join().unwrap().unwrap();
            // The connection that was to be the second one's is waited for in place of a further one.
            let third = scope.spawn(|| requests.connect(MINUTE));
            requests.until(1, 1);
            requests.comes(None);
            answered(third.join().unwrap().unwrap());
            answered(second);
        });
        assert_eq!((lock(&requests.made).len(), requests.idle()), (2, 2));
    }

    #[test]
    fn a_new_connection_comes_first_where_nothing_else_ends() {
        let requests = Requests::new();
        let first = requests.first();
        thread::scope(|scope| {
            let second = scope.spawn(|| requests.connect(MINUTE));
            requests.until(1, 1);
            requests.comes(None);
            answered(second.join().unwrap().unwrap());
        });
        drop(first);
        assert_eq!(requests.idle(), 1, "what was not answered is not used again");
    }

    #[test]
    fn that_it_could_not_be_made_is_told_to_who_waits_for_it_and_to_nobody_later() {
        let requests = Requests::new();
        let first = requests.first();
        thread::scope(|scope| {
            let second = scope.spawn(|| requests.connect(MINUTE));
            requests.until(1, 1);
            requests.comes(Some(refused()));
            assert_eq!(second.join().unwrap().unwrap_err(), refused());
            // This one goes on another while its own is under way, which fails then.
            let third = scope.spawn(|| requests.connect(MINUTE));
            requests.until(1, 1);
            answered(first);
            let third = third.join().unwrap().unwrap();
            requests.comes(Some(refused()));
            requests.until(0, 0);
            requests.comes(None);
            assert!(requests.connect(MINUTE).is_ok());
            drop(third);
        });
    }

    #[test]
    fn nobody_waits_longer_than_its_limit_for_what_never_comes() {
        let requests = Requests::new();
        let first = requests.first();
        let limit = Limit { until: Some(instant() + Duration::from_millis(50)), ..LIMIT };
        let when = requests.when.clone();
        let dial = move || Err(lock(&when).recv().unwrap().unwrap());
        let outcome = requests.http.dial.pool.connect(requests.url.origin(), MINUTE, limit, dial);
        assert_eq!(outcome.unwrap_err(), Fault::Timeout { what: Phase::Connect, after: Duration::ZERO });
        // What it was to be is told to nobody else.
        requests.comes(Some(refused()));
        requests.until(0, 0);
        answered(first);
        assert!(requests.connect(MINUTE).is_ok());
    }

    #[test]
    fn where_only_a_new_one_will_do_nothing_else_is_taken() {
        let requests = Requests::new();
        answered(requests.first());
        requests.comes(None);
        answered(requests.connect(Duration::ZERO).unwrap());
        assert_eq!(lock(&requests.made).len(), 2);
    }

    #[test]
    fn nothing_for_https_goes_over_a_connection_without_tls() {
        let http = http(&[]);
        let plain = get(server(|_, _stream| stay())).url;
        let secure = Url::parse("https://a.example/v2/").unwrap();
        let stream = http.dial.reach(&plain, None, LIMIT).unwrap();
        http.dial.pool.ahead(secure.origin(), || Ok(Channel::new(stream, false)));
        let fault = ask(&http, &Request::new(Method::Get, secure), &limits()).unwrap_err();
        assert!(fault.to_string().contains("TLS required"), "{fault}");
    }

    #[test]
    fn nothing_of_what_goes_over_a_connection_is_shown_with_it() {
        let mut lent = Requests::new().first();
        lent.buffers().output().fill(199);
        lent.buffers().input_append_buf()[0] = 199;
        lent.buffers().input_appended(1);
        let shown = format!("{lent:?}");
        assert!(shown.contains("Channel(Socket") && shown.contains("pool: Pool"), "{shown}");
        assert!(!shown.contains("199"), "{shown}");
    }

    #[test]
    fn a_request_makes_its_connection_itself_where_no_other_is_under_way() {
        let requests = Requests::new();
        (0..2).for_each(|_| drop(requests.first()));
        assert_eq!(*lock(&requests.made), [thread::current().id(); 2]);
    }
}
