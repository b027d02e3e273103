//! A server that follows a script: a list of expected exchanges, each matched once unless it says otherwise.
//!
//! The test fails on a request that nothing in the script expects and on an expected one that never came.
//! Steps are matched in order; the exchanges of one step in any order, for requests that travel side by side.

use super::http::Listener;
use super::log::{Asked, Log};
use super::reply::Reply;
use std::sync::{Arc, Mutex};

type Check = Arc<dyn Fn(&Asked) -> Result<(), String> + Send + Sync>;

/// One expected request and its answer.
#[derive(Clone)]
pub struct Expected {
    method: String,
    target: String,
    checks: Vec<Check>,
    reply: Reply,
    times: usize,
    optional: bool,
    met: usize,
}

/// Expects a `GET`; a target without `?` matches any query.
pub fn get(target: &str) -> Expected {
    request("GET", target)
}

/// Expects a `HEAD`.
pub fn head(target: &str) -> Expected {
    request("HEAD", target)
}

/// Expects a `PUT`.
pub fn put(target: &str) -> Expected {
    request("PUT", target)
}

/// Expects a `POST`.
pub fn post(target: &str) -> Expected {
    request("POST", target)
}

fn request(method: &str, target: &str) -> Expected {
    Expected {
        method: method.to_owned(),
        target: target.to_owned(),
        checks: Vec::new(),
        reply: Reply::status(200),
        times: 1,
        optional: false,
        met: 0,
    }
}

impl Expected {
    /// The answer.
    #[must_use]
    pub fn reply(mut self, reply: Reply) -> Self {
        self.reply = reply;
        self
    }

    /// The field is there with exactly this value.
    #[must_use]
    pub fn header(self, name: &'static str, value: &str) -> Self {
        let value = value.to_owned();
        self.check(move |asked| match asked.header(name) {
            Some(found) if found == value => Ok(()),
            found => Err(format!("`{name}` is {found:?}, not {value:?}")),
        })
    }

    /// The field is there and holds this text.
    #[must_use]
    pub fn header_has(self, name: &'static str, part: &str) -> Self {
        let part = part.to_owned();
        self.check(move |asked| match asked.header(name) {
            Some(found) if found.contains(&part) => Ok(()),
            found => Err(format!("`{name}` is {found:?} and lacks {part:?}")),
        })
    }

    /// The field is not there.
    #[must_use]
    pub fn no_header(self, name: &'static str) -> Self {
        self.check(move |asked| match asked.header(name) {
            None => Ok(()),
            Some(_) => Err(format!("`{name}` is there and must not be")),
        })
    }

    /// The body is this.
    #[must_use]
    pub fn body(self, expected: &[u8]) -> Self {
        let expected = expected.to_vec();
        self.check(move |asked| {
            (asked.body == expected)
                .then_some(())
                .ok_or_else(|| format!("the body is {:?}", String::from_utf8_lossy(&asked.body)))
        })
    }

    /// Any other condition.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Asked) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// Comes so many times.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// May come once, or not at all.
    #[must_use]
    pub fn maybe(mut self) -> Self {
        self.optional = true;
        self
    }

    fn matches(&self, asked: &Asked) -> bool {
        let whole = self.target == asked.target;
        let path = !self.target.contains('?') && asked.target.split('?').next() == Some(self.target.as_str());
        self.method == asked.method && (whole || path) && self.met < self.times
    }

    fn is_done(&self) -> bool {
        self.optional || self.met == self.times
    }

    fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// The script, before the server starts.
#[derive(Clone, Default)]
pub struct Script {
    steps: Vec<Vec<Expected>>,
}

impl Script {
    /// An empty script: any request fails the test.
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects one exchange next.
    #[must_use]
    pub fn then(mut self, expected: Expected) -> Self {
        self.steps.push(vec![expected]);
        self
    }

    /// Expects several exchanges next, in any order.
    #[must_use]
    pub fn together(mut self, expected: impl IntoIterator<Item = Expected>) -> Self {
        self.steps.push(expected.into_iter().collect());
        self
    }

    /// Starts the server.
    pub fn start(self) -> Scripted {
        self.start_with(None)
    }

    /// Starts the server, in TLS where a configuration is given.
    pub fn start_with(self, tls: Option<Arc<rustls::ServerConfig>>) -> Scripted {
        let play = Arc::new(Mutex::new(Play { steps: self.steps, complaints: Vec::new() }));
        let listener = Listener::start_with(tls, {
            let play = play.clone();
            move |asked| play.lock().unwrap().answer(asked)
        });
        Scripted { listener, play }
    }
}

struct Play {
    steps: Vec<Vec<Expected>>,
    complaints: Vec<String>,
}

impl Play {
    fn answer(&mut self, asked: &Asked) -> Reply {
        for step in &mut self.steps {
            if let Some(expected) = step.iter_mut().find(|expected| expected.matches(asked)) {
                expected.met += 1;
                for check in &expected.checks {
                    if let Err(why) = check(asked) {
                        self.complaints.push(format!("{}: {why}", asked.line()));
                    }
                }
                return expected.reply.clone();
            }
            if !step.iter().all(Expected::is_done) {
                break;
            }
        }
        self.complaints.push(format!("{}: not expected now", asked.line()));
        Reply::with(418, "text/plain", "the script does not expect this request")
    }

    fn complaints(&self) -> Vec<String> {
        let missing = self.steps.iter().flatten().filter(|expected| !expected.is_done());
        let missing = missing.map(|one| format!("{}: came {} times, not {}", one.line(), one.met, one.times));
        self.complaints.iter().cloned().chain(missing).collect()
    }
}

/// A running script; dropping it fails the test where the script was not followed to its end.
pub struct Scripted {
    listener: Listener,
    play: Arc<Mutex<Play>>,
}

impl Scripted {
    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.listener.host()
    }

    /// The address of the root, without a slash at its end.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// What was asked so far.
    pub fn log(&self) -> Log {
        self.listener.log()
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.listener.connections()
    }

    /// How many TLS handshakes came to nothing.
    pub fn refused_handshakes(&self) -> usize {
        self.listener.refused_handshakes()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server was asked: {:#?}", self.log().lines());
            return;
        }
        let complaints = self.play.lock().unwrap().complaints();
        assert!(
            complaints.is_empty(),
            "the script was not followed: {complaints:#?}\nasked: {:#?}",
            self.log().lines()
        );
    }
}
