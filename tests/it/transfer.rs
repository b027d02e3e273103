//! Blobs on their way between two registries, driven through the library: limits are small here, and every piece of
//! what travels is known.

use crate::support::amazon::{Amazon, BUCKET, HOST};
use crate::support::http::Listener;
use crate::support::image::Image;
use crate::support::log::Asked;
use crate::support::registry::{Auth, Options, Registry, State, one_user};
use crate::support::reply::{Fault, Reply};
use crate::support::text::digest;
use crate::support::tls::Authority;
use crate::support::token::SERVICE;
use crate::support::uploads::{Blobs, Location, Mounts};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tagwright::aws::identity::{Aws, AwsSettings};
use tagwright::error::{Code, Error};
use tagwright::http::exchange::Exchange;
use tagwright::http::{Http, Limits, Options as HttpOptions};
use tagwright::pure::auth::CredentialReach;
use tagwright::pure::auth::scope::Action;
use tagwright::pure::http::ExchangeSettings;
use tagwright::pure::http::url::Url;
use tagwright::pure::image::descriptor::Descriptor;
use tagwright::pure::image::digest::Digest;
use tagwright::pure::image::repository::Repository;
use tagwright::registry::blobs::Mount;
use tagwright::registry::fan_out;
use tagwright::registry::hub::{API, HubApi};
use tagwright::registry::login::client::Client;
use tagwright::registry::login::keychain::Keychain;
use tagwright::registry::remote::Remote;
use tagwright::world::World;

/// Two registries, a blob in the first one, and the way in between.
pub struct Case {
    pub source: Registry,
    pub target: Registry,
    pub bytes: Vec<u8>,
    password: bool,
    idle: Duration,
    commit: Duration,
    retries: u32,
    ca_file: Option<String>,
    /// How many milliseconds were to be slept, which takes no time here.
    pub slept: Arc<AtomicU64>,
}

/// What came of a copy, and how many bytes were told to be on their way.
type Outcome = (Result<(), Error>, u64);

/// A repository as a client sees it; its kind asks no web API.
pub fn remote<'s, 'w>(client: &'s Client<'w>, repository: &Repository, rights: Action) -> Remote<'s, 'w> {
    static HUB: OnceLock<HubApi> = OnceLock::new();
    let hub = HUB.get_or_init(|| HubApi::new(Url::parse(API).unwrap()));
    Remote::new(client, hub, None, repository, rights)
}

impl Case {
    fn new(size: usize) -> Self {
        Self::with(size, Blobs::default(), Blobs::default())
    }

    pub fn with(size: usize, from: Blobs, to: Blobs) -> Self {
        Self::of(size, Options { blobs: from, ..Options::default() }, Options { blobs: to, ..Options::default() })
    }

    fn of(size: usize, from: Options, to: Options) -> Self {
        let (source, target, bytes) = (Registry::with(from), Registry::with(to), noise(size));
        source.state(|state| {
            state.repositories.entry("from/app".into()).or_default().blobs.insert(digest(&bytes), bytes.clone())
        });
        let idle = Duration::from_secs(10);
        Self {
            source,
            target,
            bytes,
            password: false,
            idle,
            commit: idle,
            retries: 2,
            ca_file: None,
            slept: Arc::default(),
        }
    }

    pub fn descriptor(&self) -> Descriptor {
        let json = serde_json::json!({"digest": digest(&self.bytes), "size": self.bytes.len()});
        serde_json::from_value(json).unwrap()
    }

    pub fn world(&self) -> World {
        let pair = [("REGISTRY_USERNAME", "ci"), ("REGISTRY_PASSWORD", "pass")];
        let slept = self.slept.clone();
        let sleep = move |length: Duration| {
            slept.fetch_add(u64::try_from(length.as_millis()).unwrap(), Ordering::SeqCst);
        };
        let environment = pair.iter().filter(|_| self.password).map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        World {
            environment: environment.collect::<BTreeMap<_, _>>(),
            log: Box::new(|_| ()),
            stdin: Box::new(|_| Ok(Vec::new())),
            status: None,
            hidden: Default::default(),
            sleep: Box::new(sleep),
            started: Instant::now(),
        }
    }

    pub fn client<'w>(&self, world: &'w World) -> Client<'w> {
        let settings = ExchangeSettings {
            timeout: Some(Duration::from_secs(900)),
            wait: None,
            min_remaining: None,
            retries: self.retries,
            verbose: false,
            quiet: true,
            https: self.ca_file.is_some(),
            plain_http: vec![self.source.host()],
        };
        let options = HttpOptions { ca_file: self.ca_file.clone(), ..HttpOptions::default() };
        let exchange = Exchange::new(world, settings, Http::new(world, &options).unwrap()).with_limits(Limits {
            idle: self.idle,
            commit: self.commit,
            ..Limits::default()
        });
        let settings = AwsSettings::default();
        Client::new(
            Arc::new(exchange),
            Keychain::new(world, None, settings.clone(), CredentialReach::Command),
            Aws::new(settings),
        )
    }

    fn repositories(&self) -> (Repository, Repository) {
        let name = |registry: &Registry, path: &str| Repository::parse(&registry.name(path)).unwrap();
        (name(&self.source, "from/app"), name(&self.target, "to/app"))
    }

    fn run(&self) -> Outcome {
        let (here, there) = (self.world(), self.world());
        let (from, to) = (self.client(&here), self.client(&there));
        let (source, target) = self.repositories();
        let moved = AtomicU64::new(0);
        let (source, target) = (remote(&from, &source, Action::Pull), remote(&to, &target, Action::Push));
        let mut outcomes = fan_out(&source, &[(&target, None)], &self.descriptor(), &|count| {
            moved.fetch_add(count, Ordering::SeqCst);
            true
        });
        (outcomes.remove(0), moved.load(Ordering::SeqCst))
    }

    fn arrived(&self) -> bool {
        self.target.state(|state| {
            let home = state.repositories.get("to/app");
            home.is_some_and(|home| home.blobs.get(&digest(&self.bytes)) == Some(&self.bytes))
        })
    }

    /// What the source says when it is asked whether it has the blob.
    fn look(&self) -> Result<bool, Error> {
        let world = self.world();
        let client = self.client(&world);
        remote(&client, &self.repositories().0, Action::Pull).has_blob(&Digest::of(&self.bytes))
    }

    /// The copy succeeds, tells every byte once and leaves no upload open.
    pub fn succeeds(&self, what: &str) {
        self.succeeds_leaving(what, 0);
    }

    /// The copy succeeds, tells every byte once and leaves so many uploads open.
    fn succeeds_leaving(&self, what: &str, open: usize) {
        let (outcome, moved) = self.run();
        let lines = (self.source.log().lines(), self.target.log().lines());
        assert_eq!(outcome, Ok(()), "{what}: {lines:#?}");
        assert!(self.arrived(), "{what}: {lines:#?}");
        assert_eq!(moved, self.bytes.len() as u64, "{what}: {lines:#?}");
        assert_eq!(self.target.state(|state| state.uploads.open()), open, "{what}: {lines:#?}");
    }

    /// The copy fails, with nothing stored and no upload left open.
    fn fails(&self, code: Code, words: &str) -> Error {
        let (outcome, _) = self.run();
        let error = outcome.unwrap_err();
        let lines = (self.source.log().lines(), self.target.log().lines());
        assert_eq!(error.code(), code, "{error} {lines:#?}");
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(!self.arrived());
        assert_eq!(self.target.state(|state| state.uploads.open()), 0, "{lines:#?}");
        error
    }

    pub fn asked(&self, registry: &Registry, method: &str) -> Vec<Asked> {
        let log = registry.log();
        log.0.into_iter().map(|one| one.asked).filter(|asked| asked.method == method).collect()
    }
}

/// Bytes in which no two pieces are alike.
pub fn noise(size: usize) -> Vec<u8> {
    let (mut state, mut bytes) = (88_172_645_463_325_252u64, Vec::with_capacity(size + 8));
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Checks every case in a thread of its own: most of their time is waiting before another try.
pub fn side_by_side<T: Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        let check = &check;
        cases.into_iter().for_each(|case| drop(scope.spawn(move || check(case))));
    });
}

/// Changes the first so many answers that carry the blob.
pub fn spoil(registry: &Registry, times: usize, change: impl Fn(usize, &mut Reply) + Send + 'static) {
    let mut count = 0;
    registry.after(move |asked, _, reply| {
        if asked.method == "GET" && asked.path.contains("/blobs/sha256:") && count < times {
            change(count, reply);
            count += 1;
        }
    });
}

#[test]
fn a_blob_of_any_size_is_copied() {
    for size in [0, 1, 70_000, 3_000_000] {
        let case = Case::new(size);
        case.succeeds("copied");
        assert_eq!(case.target.log().count(), 2, "begun and ended");
        assert_eq!(case.source.log().count(), usize::from(size > 0));
    }
}

#[test]
fn a_source_that_breaks_is_read_on_from_where_it_broke() {
    let faults: [fn(usize) -> Fault; 3] = [Fault::CloseAfter, Fault::ResetAfter, Fault::HangAfter];
    let cases = faults.into_iter().flat_map(|fault| [(fault, false), (fault, true)]).enumerate();
    side_by_side(cases, |(number, (fault, no_ranges))| {
        let blobs = Blobs { no_ranges, ..Blobs::default() };
        let case = Case { idle: Duration::from_millis(400), ..Case::with(2_000_000, blobs, Blobs::default()) };
        spoil(&case.source, 2, move |count, reply| {
            // Somewhere, but the second time behind where the first one was, so that there is progress.
            let at = 133_337 * (1 + number) + count * 500_003;
            let at = if reply.status == 206 { at.min(reply.body.len() / 2) } else { at };
            *reply = reply.clone().fault(fault(at));
        });
        case.succeeds(&format!("{:?}, ranges ignored: {no_ranges}", fault(0)));
        let gets = case.asked(&case.source, "GET");
        let ranges: Vec<_> = gets.iter().map(|asked| asked.header("Range")).collect();
        let has_end = |range: &Option<&str>| range.is_some_and(|range| range.ends_with("-1999999"));
        assert!(ranges[0].is_none() && ranges[1..].iter().all(has_end) && ranges.len() == 3, "{ranges:?}");
        assert_eq!(case.asked(&case.target, "PUT").len(), 1, "the target notices nothing");
    });
}

#[test]
fn a_source_that_tells_where_a_part_begins_without_a_unit_is_read_on() {
    let case = Case::new(900_000);
    let mut breaks = true;
    case.source.after(move |asked, _, reply| {
        if let Some(range) = reply.header_value("Content-Range").map(|range| range.replace("bytes ", "")) {
            *reply = reply.clone().set("Content-Range", range);
        } else if asked.method == "GET" && std::mem::take(&mut breaks) {
            *reply = reply.clone().fault(Fault::CloseAfter(400_000));
        }
    });
    case.succeeds("the pull request 24 of Nexus");
}

#[test]
fn a_source_that_cannot_be_read_on_is_told_as_what_it_is() {
    let range = |range: &str| Reply::status(416).header("Content-Range", range);
    let part =
        |range: &str| Reply::with(206, "application/octet-stream", noise(500_000)).header("Content-Range", range);
    let short = || Reply::with(200, "application/octet-stream", noise(300_000)).fault(Fault::Chunked);
    let another = "the registry answered with another part of it";
    for (reply, code, words) in [
        (range("bytes */900000"), Code::ReplyMalformed, "answered with the status 416, which means nothing here"),
        (range("bytes */899999"), Code::DigestMismatch, "the manifest says 900000 bytes, the registry has 899999"),
        (part("bytes 300000-799999/900000"), Code::ReplyMalformed, another),
        (part("bytes */900000"), Code::ReplyMalformed, another),
        (short(), Code::DigestMismatch, "the manifest says 900000 bytes, the registry has 300000"),
    ] {
        let case = Case { retries: 1, ..Case::new(900_000) };
        let mut breaks = true;
        case.source.after(move |asked, _, answer| {
            if asked.method == "GET" {
                let broken = answer.clone().fault(Fault::CloseAfter(400_000));
                *answer = if std::mem::take(&mut breaks) { broken } else { reply.clone() };
            }
        });
        let _ = case.fails(code, words);
    }
}

#[test]
fn a_source_that_stays_broken_is_an_error() {
    let case = Case { retries: 1, ..Case::new(500_000) };
    spoil(&case.source, 99, |_, reply| *reply = reply.clone().fault(Fault::CloseAfter(0)));
    let error = case.fails(Code::ReplyMalformed, "read the blob `sha256:");
    assert!(error.to_string().contains("0 of 500000 bytes were read"), "{error}");
    assert_eq!(case.asked(&case.source, "GET").len(), 2);
}

#[test]
fn content_that_is_not_what_it_should_be_is_never_committed() {
    let cut = |reply: &mut Reply, size: usize| reply.body.resize(size, 0);
    let chunked = |reply: &mut Reply| *reply = reply.clone().fault(Fault::Chunked);
    type Change = Box<dyn Fn(&mut Reply) + Send>;
    let (other, short, long) = ("is not what its digest says", "shorter than it has to be", "longer than it has to be");
    let cases: Vec<(&str, Change, &str, &str, bool)> = vec![
        ("a wrong first byte", Box::new(|r| r.body[0] ^= 1), other, "received 300000 bytes", true),
        ("a wrong last byte", Box::new(|r| r.body[299_999] ^= 1), other, "received 300000 bytes", true),
        ("short by its header", Box::new(move |r| cut(r, 299_999)), short, "the registry has 299999", false),
        ("long by its header", Box::new(move |r| cut(r, 300_001)), long, "the registry has 300001", false),
        (
            "long in chunks",
            Box::new(move |r| {
                cut(r, 300_001);
                chunked(r)
            }),
            long,
            "the registry has more than 300000",
            true,
        ),
        (
            "short in chunks",
            Box::new(move |r| {
                cut(r, 299_999);
                chunked(r)
            }),
            short,
            "the registry has 299999",
            true,
        ),
    ];
    for (what, change, words, told, begins) in cases {
        let case = Case { retries: 1, ..Case::new(300_000) };
        case.source.after(move |asked, _, reply| {
            if asked.method == "GET" && reply.status == 200 {
                change(reply);
            } else if asked.method == "GET" && what == "short in chunks" {
                *reply = Reply::status(416).header("Content-Range", "bytes */299999");
            }
        });
        let error = case.fails(Code::DigestMismatch, words);
        let whole = error.to_string();
        assert!(whole.contains(&digest(&case.bytes)) && whole.contains("from/app"), "{what}: {whole}");
        assert!(whole.contains(told), "{what}: {whole}");
        assert_eq!(case.target.traffic(&digest(&case.bytes)).uploads, 0, "{what}: nothing was ended");
        assert!(begins || case.asked(&case.target, "PUT").is_empty(), "{what}: nothing was sent");
    }
}

#[test]
fn what_is_wrong_with_the_source_is_said_in_chunks_too() {
    for size in [1_000_000, 600_000] {
        let blobs = Blobs { limit: Some(400_000), chunk_min: Some(250_000), ..Blobs::default() };
        let case = Case { retries: 0, ..Case::with(1_000_000, Blobs::default(), blobs) };
        case.source.after(move |asked, _, reply| {
            if asked.method == "GET" && size == 1_000_000 {
                reply.body[999_999] ^= 1;
            } else if asked.method == "GET" {
                *reply = reply.clone().fault(Fault::CloseAfter(size));
            }
        });
        if size == 1_000_000 {
            let _ = case.fails(Code::DigestMismatch, "from/app` is not what its digest says");
        } else {
            let _ = case.fails(Code::ReplyMalformed, "of 1000000 bytes were read");
        }
        assert_eq!(case.target.traffic(&digest(&case.bytes)).uploads, 0);
    }
}

#[test]
fn a_blob_that_is_missing_is_said_before_anything_is_sent() {
    let case = Case::new(1000);
    case.source.state(|state| state.repositories.get_mut("from/app").unwrap().blobs.clear());
    let _ = case.fails(Code::BlobMissing, "from/app");
    assert!(case.asked(&case.target, "PUT").is_empty());
}

#[test]
fn an_upload_that_breaks_is_begun_anew() {
    let unknown = || Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
    let cases = [
        ("closed", Reply::broken(Fault::Close)),
        ("reset", Reply::broken(Fault::Reset)),
        ("500", Reply::error(500, "UNKNOWN", "unknown error")),
        ("503", Reply::status(503)),
        ("forgotten", unknown()),
    ];
    side_by_side(cases, |(what, reply)| {
        let case = Case::new(2_000_000);
        case.target.cut(1, "PUT", "/blobs/uploads/", 700_000, false, reply);
        // Whether a registry that has not answered is still at work is not known.
        case.succeeds_leaving(what, usize::from(matches!(what, "closed" | "reset")));
        assert_eq!(case.asked(&case.target, "POST").len(), 2, "{what}");
        assert_eq!(case.asked(&case.target, "HEAD").len(), 1, "{what}: the answer that was lost may have been good");
    });
    let case = Case::new(50_000);
    let mut first = true;
    case.target.before(move |asked, state: &mut State| {
        if asked.method == "PUT" && std::mem::take(&mut first) {
            state.uploads.forget();
        }
        None
    });
    case.succeeds("a registry that was started again");
}

#[test]
fn a_blob_that_is_there_although_the_answer_was_bad_is_there() {
    for reply in [Reply::error(500, "UNKNOWN", "unknown error"), Reply::broken(Fault::Close)] {
        let case = Case::new(100_000);
        case.target.after(move |asked, _, answer| {
            if asked.method == "PUT" {
                *answer = reply.clone();
            }
        });
        case.succeeds("stored");
        assert_eq!((case.asked(&case.target, "PUT").len(), case.asked(&case.source, "GET").len()), (1, 1));
    }
}

#[test]
fn a_target_that_hangs_ends_at_the_idle_limit_and_is_tried_again() {
    let case = Case { idle: Duration::from_millis(400), ..Case::new(20_000_000) };
    case.target.fail(1, "PUT", "/blobs/uploads/", Reply::broken(Fault::Hang));
    case.succeeds_leaving("hung", 1);
    assert_eq!(case.asked(&case.target, "DELETE").len(), 0, "it may still be at work");
}

#[test]
fn a_registry_that_commits_longer_than_it_may_be_silent_is_waited_for() {
    let fifteen = Limits::default().commit;
    assert_eq!((fifteen, Limits::default().idle), (Duration::from_secs(15 * 60), Duration::from_secs(30)));
    for (what, blobs) in [
        ("whole", Blobs::default()),
        ("in chunks", Blobs { limit: Some(200_000), chunk_min: Some(100_000), ..Blobs::default() }),
    ] {
        let case = Case::with(300_000, Blobs::default(), blobs);
        let case = Case { idle: Duration::from_millis(300), commit: Duration::from_secs(20), ..case };
        case.target.after(|asked, _, reply| {
            if asked.method == "PUT" && reply.status == 201 {
                reply.delay = Duration::from_millis(1200);
            }
        });
        case.succeeds(what);
        assert_eq!(case.asked(&case.target, "PUT").len(), if what == "whole" { 1 } else { 2 }, "{what}");
        assert_eq!(case.asked(&case.target, "DELETE").len(), usize::from(what != "whole"), "{what}");
    }
}

#[test]
fn a_proxy_that_loses_patience_with_a_commit_does_not_stop_it() {
    for status in [502, 504] {
        let case = Case::new(300_000);
        let mut first = true;
        case.target.after(move |asked, _, reply| {
            if asked.method == "PUT" && std::mem::take(&mut first) {
                *reply = Reply::with(status, "text/html", "<html>the server took too long</html>");
            }
        });
        case.succeeds(&status.to_string());
        let asked = ["PUT", "DELETE", "HEAD"].map(|method| case.asked(&case.target, method).len());
        assert_eq!(asked, [1, 0, 1], "{status}: the blob is there by the time it is looked for");
    }
}

#[test]
fn an_upload_is_begun_again_when_the_registry_says_so_with_a_time_of_its_own() {
    let date = |ahead: u64, form: &[time::format_description::FormatItem]| {
        let then = time::OffsetDateTime::from(std::time::SystemTime::now()) + Duration::from_secs(ahead);
        then.format(form).unwrap()
    };
    use time::macros::format_description as form;
    // Long enough that it makes no difference when the answer is read.
    let times = [
        ("seconds", "300".to_owned()),
        (
            "a date",
            date(300, form!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT")),
        ),
        (
            "an old date",
            date(300, form!("[weekday], [day]-[month repr:short]-[year repr:last_two] [hour]:[minute]:[second] GMT")),
        ),
        (
            "the oldest",
            date(
                300,
                form!("[weekday repr:short] [month repr:short] [day padding:space] [hour]:[minute]:[second] [year]"),
            ),
        ),
    ];
    side_by_side(times, |(what, when)| {
        let case = Case { retries: 1, ..Case::new(100_000) };
        case.target.fail(1, "POST", "/blobs/uploads/", Reply::status(429).header("Retry-After", when));
        case.succeeds(what);
        let slept = case.slept.load(Ordering::SeqCst);
        assert!((200_000..=300_000).contains(&slept), "{what}: {slept}");
        assert_eq!(case.asked(&case.target, "POST").len(), 2, "{what}");
    });
}

#[test]
fn what_an_upload_is_to_wait_for_is_waited_for_in_its_midst_too() {
    side_by_side([("whole", "PUT"), ("in chunks", "PATCH")], |(what, method)| {
        let case = Case { retries: 1, ..Case::new(100_000) };
        if method == "PATCH" {
            case.target.fail(1, "PUT", "/blobs/uploads/", Reply::status(413));
        }
        case.target.fail(1, method, "/blobs/uploads/", Reply::status(429).header("Retry-After", "300".to_owned()));
        case.succeeds(what);
        let slept = case.slept.load(Ordering::SeqCst);
        assert!((200_000..=300_000).contains(&slept), "{what}: {slept}");
    });
}

#[test]
fn an_upload_that_cannot_be_begun_for_the_moment_is_begun_later() {
    let replies =
        [("503", Reply::status(503)), ("closed", Reply::broken(Fault::Close)), ("reset", Reply::broken(Fault::Reset))];
    side_by_side(replies, |(what, reply)| {
        let case = Case { retries: 1, ..Case::new(100_000) };
        case.target.fail(1, "POST", "/blobs/uploads/", reply);
        case.succeeds(what);
        let asked = ["POST", "PUT", "HEAD"].map(|method| case.asked(&case.target, method).len());
        assert_eq!(asked, [2, 1, 0], "{what}");
    });
}

#[test]
fn what_a_single_request_may_not_hold_goes_in_chunks() {
    for (least, expected) in [(Some(300_000), 9), (None, 1)] {
        for early in [true, false] {
            let limit = least.map(|_| 400_000).filter(|_| !early);
            let case = Case::with(2_500_000, Blobs::default(), Blobs { chunk_min: least, limit, ..Blobs::default() });
            if limit.is_none() {
                let refusal = Reply::with(413, "text/html", "<html><h1>413 Request Entity Too Large</h1></html>");
                case.target.cut(1, "PUT", "/blobs/uploads/", 1000, false, refusal);
            }
            case.succeeds(&format!("{least:?} {early}"));
            let chunks = case.asked(&case.target, "PATCH");
            assert_eq!(chunks.len(), expected);
            let ranges: Vec<_> = chunks.iter().filter_map(|asked| asked.header("Content-Range")).collect();
            let last = format!("{}-2499999", (expected - 1) * 300_000);
            assert!(ranges[0].starts_with("0-") && ranges.last() == Some(&last.as_str()), "{ranges:?}");
            assert_eq!(case.asked(&case.target, "PUT").last().unwrap().body.len(), 0);
        }
    }
}

#[test]
fn a_registry_that_takes_no_body_at_the_end_of_an_upload_gets_it_before() {
    let refusals = [
        Reply::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content"),
        Reply::error(400, "BLOB_UPLOAD_INVALID", "no content expected"),
        Reply::error(405, "UNSUPPORTED", "monolithic upload"),
        Reply::status(411),
        Reply::status(415),
        Reply::status(416),
        Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        Reply::status(501),
    ];
    for reply in refusals {
        let case = Case::new(300_000);
        let (status, answer) = (reply.status, reply);
        case.target.before(move |asked, _| (asked.method == "PUT" && asked.length > 0).then(|| answer.clone()));
        case.succeeds(&status.to_string());
        let asked = ["POST", "PATCH", "PUT"].map(|method| case.asked(&case.target, method).len());
        assert_eq!(asked, [2, 1, 2], "{status}");
    }
}

#[test]
fn a_registry_that_takes_no_chunk_either_is_an_error_that_names_its_limit() {
    // None has less than 64 KiB, or than the registry wants.
    for (limit, least, expected) in [(1000, None, 5), (400_000, Some(500_000), 1)] {
        let blobs = Blobs { limit: Some(limit), chunk_min: least, ..Blobs::default() };
        let case = Case::with(900_000, Blobs::default(), blobs);
        let error = case.fails(Code::Denied, "413 Request Entity Too Large");
        assert!(error.hint_text().unwrap().contains("raise the limit"), "{error}");
        assert_eq!(case.asked(&case.target, "PATCH").len(), expected, "{limit}");
    }
}

#[test]
fn chunks_go_on_where_the_registry_is() {
    let blobs = Blobs { chunk_min: Some(500_000), limit: Some(600_000), ..Blobs::default() };
    let close = Reply::broken(Fault::Close);
    let cases = [
        ("lost", 1, false, close.clone()),
        ("500 twice", 2, false, Reply::error(500, "UNKNOWN", "unknown error")),
        ("kept in part", 1, true, close),
        ("416", 1, false, Reply::status(416)),
        ("500", 1, true, Reply::error(500, "UNKNOWN", "unknown error")),
    ];
    side_by_side(cases, |(what, times, kept, reply)| {
        let case = Case::with(1_900_000, Blobs::default(), blobs.clone());
        let third = |asked: &Asked| asked.header("Content-Range").is_some_and(|range| range.starts_with("1000000-"));
        case.target.cut_where(times, third, 200_000, kept, reply);
        case.succeeds(what);
        let ranges: Vec<String> = case
            .asked(&case.target, "PATCH")
            .iter()
            .filter_map(|a| a.header("Content-Range").map(str::to_owned))
            .collect();
        let next = if kept { "1200000-" } else { "1000000-" };
        assert!(ranges[3].starts_with(next), "{what}: {ranges:?}");
        // The source is asked for nothing that came before the chunk.
        let again = case.asked(&case.source, "GET");
        let again: Vec<&str> = again.iter().filter_map(|asked| asked.header("Range")).collect();
        assert!(kept || !again.is_empty(), "{what}");
        assert!(again.iter().all(|range| range.starts_with("bytes=1000000-")), "{what}: {again:?}");
        assert_eq!(case.asked(&case.target, "POST").len(), 2, "{what}: one for the whole, one for the chunks");
    });
}

#[test]
fn chunks_of_an_upload_that_is_forgotten_midway_are_sent_anew() {
    let blobs = Blobs { chunk_min: Some(500_000), limit: Some(600_000), ..Blobs::default() };
    // The registry was started again, and says so; or it went away in the middle of a chunk, and does not know it later.
    let cases = [("404", None), ("closed", Some(Reply::broken(Fault::Close)))];
    side_by_side(cases, |(what, answer)| {
        let case = Case::with(1_900_000, Blobs::default(), blobs.clone());
        let mut left = 1;
        case.target.before(move |asked, state| {
            let third = asked.header("Content-Range").is_some_and(|range| range.starts_with("1000000-"));
            if !third || left == 0 {
                return None;
            }
            left -= 1;
            state.uploads.forget();
            answer.clone()
        });
        case.succeeds(what);
        let ranges: Vec<String> = case
            .asked(&case.target, "PATCH")
            .iter()
            .filter_map(|asked| asked.header("Content-Range")?.split('-').next().map(str::to_owned))
            .collect();
        assert_eq!(ranges, ["0", "500000", "1000000", "0", "500000", "1000000", "1500000"], "{what}");
        assert_eq!(case.asked(&case.target, "POST").len(), 3, "{what}: for the whole, for the chunks, and anew");
    });
}

#[test]
fn a_target_without_the_right_to_write_is_noticed_before_the_source_is_asked() {
    let denied = Case::new(1000);
    denied.target.fail(9, "POST", "/blobs/uploads/", Reply::error(403, "DENIED", "not yours"));
    let _ = denied.fails(Code::Denied, "not yours");
    let anonymous = Case::of(
        1000,
        Options::default(),
        Options { auth: Auth::Basic("ci".into(), "pass".into()), ..Options::default() },
    );
    let _ = anonymous.fails(Code::CredentialMissing, "asked for a credential");
    for case in [denied, anonymous] {
        assert_eq!(case.source.log().count(), 0);
    }
}

#[test]
fn an_upload_goes_on_wherever_the_registry_says() {
    for location in [Location::Path, Location::Query, Location::Whole, Location::Elsewhere] {
        for limit in [None, Some(300_000)] {
            let blobs = Blobs { location, limit, chunk_min: Some(200_000), ..Blobs::default() };
            let auth = Auth::Basic("ci".into(), "pass".into());
            let to = Options { auth, blobs, ..Options::default() };
            // The other origin refuses whoever brings a credential along.
            let case = Case { password: true, ..Case::of(450_000, Options::default(), to) };
            case.succeeds(&format!("{location:?} {limit:?}"));
        }
    }
}

#[test]
fn an_upload_never_goes_on_in_the_clear() {
    let authority = Authority::new();
    let to = Options { tls: Some(authority.server()), ..Options::default() };
    let case =
        Case { ca_file: authority.ca_file().to_str().map(str::to_owned), ..Case::of(1000, Options::default(), to) };
    let elsewhere = Listener::start(|_| panic!("nothing goes out in the clear"));
    let location = format!("{}/v2/to/app/blobs/uploads/1", elsewhere.url());
    case.target.after(move |asked, state, reply| {
        if asked.method == "POST" {
            state.uploads.forget();
            *reply = reply.clone().set("Location", location.clone());
        }
    });
    let error = case.fails(Code::RedirectRefused, "from https to");
    assert!(error.hint_text().unwrap().contains("X-Forwarded-Proto"), "{error}");
    // What is no matter of a proxy is not told as one.
    case.target.after(|asked, _, reply| {
        if asked.method == "POST" {
            *reply = reply.clone().set("Location", "https://169.254.169.254/upload");
        }
    });
    let error = case.fails(Code::RedirectRefused, "link-local");
    assert!(error.hint_text().unwrap().contains("correct the `Location`"), "{error}");
}

#[test]
fn a_mount_that_is_not_made_goes_on_as_an_upload() {
    for (mounts, posts) in
        [(Mounts::Made, 1), (Mounts::Ignored, 1), (Mounts::Refused(405), 2), (Mounts::Refused(403), 2)]
    {
        let blobs = Blobs { mounts, ..Blobs::default() };
        let case = Case::with(100_000, Blobs::default(), blobs);
        let world = case.world();
        let client = case.client(&world);
        let (source, target) = case.repositories();
        case.target.state(|state| {
            let home = state.repositories.entry("other/app".into()).or_default();
            home.blobs.insert(digest(&case.bytes), case.bytes.clone());
        });
        let other = Repository::parse(&case.target.name("other/app")).unwrap();
        let descriptor = case.descriptor();
        let (source, target) = (remote(&client, &source, Action::Pull), remote(&client, &target, Action::Push));
        let started = match target.mount(&other, &descriptor.digest).unwrap() {
            Mount::Mounted => {
                assert!(mounts == Mounts::Made && case.arrived());
                continue;
            }
            Mount::Started(upload) => Some(upload),
            Mount::Refused => None,
        };
        assert_eq!(started.is_some(), mounts == Mounts::Ignored);
        fan_out(&source, &[(&target, started)], &descriptor, &|_| true).remove(0).unwrap();
        assert!(case.arrived());
        assert_eq!(case.asked(&case.target, "POST").len(), posts, "{mounts:?}");
    }
}

#[test]
fn a_registry_that_mounts_nothing_for_the_moment_is_not_sent_the_blob_instead() {
    for (status, code) in [(429, Code::RateLimited), (503, Code::RegistryUnavailable)] {
        let case = Case::new(1000);
        let world = case.world();
        let client = case.client(&world);
        case.target.fail(9, "POST", "/blobs/uploads/", Reply::status(status));
        let other = Repository::parse(&case.target.name("other/app")).unwrap();
        let target = remote(&client, &case.repositories().1, Action::Push);
        let outcome = target.mount(&other, &case.descriptor().digest);
        assert_eq!(outcome.map(|_| ()).map_err(|error| error.code()), Err(code));
    }
}

#[test]
fn a_token_that_runs_out_on_the_way_is_renewed_once() {
    for (times, challenged) in [(1, true), (1, false), (9, true)] {
        let to = Options { auth: Auth::Bearer(one_user("ci", "pass")), ..Options::default() };
        let case = Case { password: true, ..Case::of(100_000, Options::default(), to) };
        let challenge =
            format!("Bearer realm=\"{}\",service=\"{SERVICE}\",error=\"invalid_token\"", case.target.tokens().realm());
        let reply = Reply::error(401, "UNAUTHORIZED", "the token has expired");
        // Some say how to log in at their entrance alone.
        let reply = if challenged { reply.header("WWW-Authenticate", challenge) } else { reply };
        let mut expired: Vec<String> = Vec::new();
        case.target.before(move |asked, _| {
            let token = asked.bearer()?.to_owned();
            if asked.method == "PUT" && expired.len() < times {
                expired.push(token.clone());
            }
            // No token that has run out is taken again, for whatever it comes.
            expired.contains(&token).then(|| reply.clone())
        });
        if times == 1 {
            case.succeeds("renewed");
        } else {
            let _ = case.fails(Code::TokenExpired, "expired");
        }
        assert_eq!(case.asked(&case.target, "PUT").len(), 2);
    }
}

#[test]
fn a_registry_that_asks_for_a_password_only_where_the_content_comes_gets_it() {
    let case = Case { password: true, ..Case::new(100_000) };
    case.target.before(|asked, _| {
        let is_late = asked.method == "PUT" && asked.basic().is_none();
        is_late.then(|| Reply::status(401).header("WWW-Authenticate", "Basic realm=\"tests\""))
    });
    case.succeeds("asked late");
}

#[test]
fn an_upload_takes_one_token_whether_it_is_taken_or_refused() {
    for refused in [false, true] {
        let to = Options { auth: Auth::Bearer(one_user("ci", "pass")), ..Options::default() };
        let case = Case { password: true, ..Case::of(100_000, Options::default(), to) };
        if refused {
            let challenge = format!(
                "Bearer realm=\"{}\",service=\"{SERVICE}\",error=\"insufficient_scope\"",
                case.target.tokens().realm()
            );
            let reply = Reply::error(403, "DENIED", "the quota is used up").header("WWW-Authenticate", challenge);
            case.target.fail(9, "PUT", "/blobs/uploads/", reply);
            let _ = case.fails(Code::Denied, "refused");
        } else {
            case.succeeds("taken");
        }
        assert_eq!(case.target.tokens().log().count(), 1, "refused: {refused}");
    }
}

#[test]
fn a_target_that_is_full_says_so_in_its_own_words() {
    for (reply, tries) in [
        (Reply::error(507, "UNKNOWN", "no space left on device"), 1),
        (Reply::error(500, "UNKNOWN", "no space left on device"), 2),
        (Reply::error(403, "DENIED", "no space left on device"), 1),
    ] {
        let case = Case { retries: 1, ..Case::new(5_000_000) };
        let code = if reply.status == 403 { Code::Denied } else { Code::RegistryUnavailable };
        case.target.cut(9, "PUT", "/blobs/uploads/", 1_000_000, false, reply);
        let error = case.fails(code, "no space left on device");
        assert!(error.to_string().contains(" of 5000000 bytes were sent"), "{error}");
        assert_eq!(case.asked(&case.target, "PUT").len(), tries);
        assert!(case.asked(&case.target, "DELETE").len() >= tries, "what came is given up");
    }
}

#[test]
fn a_download_from_ecr_that_breaks_goes_on_at_a_new_address() {
    let (amazon, target) = (Amazon::start(), Registry::start());
    let layer = noise(900_000);
    amazon.push("team/app", "2026.34.103", &Image::new().layer(layer.clone()).build());
    amazon.state(|state| state.broken.push((layer.len(), Fault::CloseAfter(400_000))));
    let mut downloads = 0;
    amazon.hook(move |_, action, _| {
        downloads += usize::from(action == "ecr:GetDownloadUrlForLayer");
        // Every second address has run out before it is used.
        let old = action == "ecr:GetDownloadUrlForLayer" && downloads % 2 == 1;
        let url = format!("https://{BUCKET}/team/app/{}?X-Amz-Signature=old", digest(b""));
        old.then(|| Reply::json(&serde_json::json!({"downloadUrl": url})))
    });
    let (from, into) = (format!("{HOST}/team/app:2026.34.103"), target.name("to/app"));
    amazon.signed(["promote", &from, "--to", "1", "--into", &into, "--jobs", "1", "--no-referrers"]).run().result();
    let log = amazon.log();
    let asked = log.0.iter().map(|one| &one.asked).filter(|asked| asked.path.contains(&digest(&layer)));
    let ranges: Vec<_> = asked.map(|asked| asked.header("Range").unwrap_or_default().to_owned()).collect();
    assert!(ranges.len() == 2 && ranges[0].is_empty() && ranges[1] == "bytes=400000-899999", "{ranges:?}");
    assert!(target.state(|state| state.repositories["to/app"].blobs[&digest(&layer)] == layer));
}

#[test]
fn bytes_in_memory_are_put_once() {
    // What fails for the moment is sent again; what is not taken at the end of an upload goes before it.
    for status in [503, 501] {
        let case = Case::new(0);
        let world = case.world();
        let client = case.client(&world);
        let target = remote(&client, &case.repositories().1, Action::Push);
        case.target.state(|state| state.repositories.entry("to/app".into()).or_default().blobs.clear());
        case.target.fail(1, "PUT", "/blobs/uploads/", Reply::status(status));
        for _ in 0..2 {
            assert_eq!(target.put_blob(b"{}"), Ok(Digest::of(b"{}")), "{status}");
        }
        assert!(target.has_blob(&Digest::of(b"{}")).unwrap());
        assert_eq!(case.target.traffic(&digest(b"{}")).uploads, 1);
    }
}

#[test]
fn a_store_that_answers_no_head_is_asked_for_a_byte() {
    // A bare 404 proves nothing as long as the host has not shown itself to be a registry.
    for status in [403, 405, 404] {
        let case = Case::new(1000);
        let heads = AtomicUsize::new(0);
        case.source.before(move |asked, _| {
            heads.fetch_add(1, Ordering::SeqCst);
            (asked.method == "HEAD").then(|| Reply::status(status))
        });
        assert_eq!(case.look(), Ok(true), "{status}");
    }
}

#[test]
fn a_store_that_answers_no_head_lacks_a_blob_only_by_a_registrys_own_word() {
    for (reply, expected) in [
        (Reply::error(404, "BLOB_UNKNOWN", "blob unknown"), Ok(false)),
        (Reply::status(404), Err(Code::ReplyMalformed)),
    ] {
        let case = Case::new(1000);
        case.source
            .before(move |asked, _| Some(if asked.method == "HEAD" { Reply::status(403) } else { reply.clone() }));
        assert_eq!(case.look().map_err(|error| error.code()), expected, "{:#?}", case.source.log().lines());
    }
}

#[test]
fn a_store_that_cannot_tell_for_the_moment_is_not_asked_for_a_byte() {
    for (status, code) in [(503, Code::RegistryUnavailable), (429, Code::RateLimited)] {
        let case = Case::new(1000);
        case.source.before(move |asked, _| (asked.method == "HEAD").then(|| Reply::status(status)));
        assert_eq!(case.look().unwrap_err().code(), code);
        assert_eq!(case.source.log().matching("GET", "/blobs/"), 0, "{:#?}", case.source.log().lines());
    }
}

#[test]
fn a_registry_that_keeps_next_to_nothing_of_a_chunk_is_not_sent_the_blob_for_ever() {
    let to = Blobs { chunk_min: Some(1), limit: Some(400_000), ..Blobs::default() };
    let case = Case { retries: 1, ..Case::with(2_500_000, Blobs::default(), to) };
    let mut kept = 0;
    case.target.before(move |asked, _| {
        kept += usize::from(asked.method == "PATCH");
        let reply = Reply::status(202).header("Location", asked.target.clone()).header("Range", format!("0-{kept}"));
        (asked.method == "PATCH").then_some(reply)
    });
    let _ = case.fails(Code::ReplyMalformed, "takes chunks and does not keep them");
    let sent = case.asked(&case.target, "PATCH");
    assert!(sent.len() <= 2 && sent[0].length == 64 << 10, "{} chunks", sent.len());
}
