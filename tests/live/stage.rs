//! One real registry in one of four setups, with what it takes to run the program against it.

use crate::support::client::Client;
use crate::support::cmd::{Tagwright, tagwright};
use crate::support::image::{Image, two_platforms};
use crate::support::live::Live;
pub use crate::support::program::Program;
use crate::support::program::Setup;
use crate::support::tls::Authority;
use crate::support::token::{Rights, Rules, TokenServer};
use std::io::Write;

pub const REPOSITORY: &str = "acme/serviceone";
pub const USER: &str = "robot";
pub const PASSWORD: &str = "marked-password-of-the-live-tests";

/// How it is to be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Open,
    Password,
    Tokens,
    /// With tokens of a token server that the registry has itself.
    Own,
    Tls,
}

/// A running registry and how to reach it.
pub struct Stage {
    pub program: Program,
    pub door: Door,
    pub live: Live,
    pub client: Client,
    pub authority: Option<Authority>,
    pub tokens: Option<TokenServer>,
}

impl Stage {
    /// Starts an empty registry and says so.
    pub fn start(program: Program, door: Door) -> Self {
        let authority = (door == Door::Tls).then(Authority::new);
        let rules = Rules::default().user(USER, PASSWORD, Rights::PUSH).user("reader", PASSWORD, Rights::PULL);
        let tokens = (door == Door::Tokens).then(|| TokenServer::start(rules.identity_token("identity", USER)));
        let live = Live::start(&Setup {
            program,
            password: matches!(door, Door::Password | Door::Own).then_some((USER, PASSWORD)),
            tokens: tokens.as_ref(),
            authority: authority.as_ref(),
        });
        // Written to the handle itself: the test runner captures what the print macros write.
        let _ = writeln!(std::io::stderr(), "against {}, {door:?}, on {}", live.version(), live.host());
        let mut client = live.client();
        match door {
            Door::Open => {}
            Door::Own => client = client.lent(USER, PASSWORD, REPOSITORY),
            Door::Password => client = client.basic(USER, PASSWORD),
            Door::Tokens => client = client.bearer(&tokens.as_ref().unwrap().desk().pass(REPOSITORY)),
            Door::Tls => client = client.tls(authority.as_ref().unwrap().client()),
        }
        Self { program, door, live, client, authority, tokens }
    }

    /// With three builds of an image for two platforms, an older one of Docker's kind, and `latest` on the second.
    pub fn filled(program: Program, door: Door) -> Self {
        let stage = Self::start(program, door);
        let old = Image::new().docker().label("git_revision", "old").build();
        stage.client.push(REPOSITORY, "2026.34.100", &old);
        for (version, commit) in [("2026.34.101", "aaa"), ("2026.34.102", "bbb"), ("2026.34.103", "ccc")] {
            stage.client.push(REPOSITORY, version, &two_platforms(commit, version));
        }
        stage.client.push(REPOSITORY, "latest", &two_platforms("bbb", "2026.34.102"));
        stage
    }

    /// The repository with a tag, or another end such as `@sha256:…`.
    pub fn name(&self, end: &str) -> String {
        format!("{}{end}", self.live.name(REPOSITORY))
    }

    /// A command about the repository, complete with what this door takes.
    pub fn run<const N: usize>(&self, command: &str, end: &str, flags: [&str; N]) -> Tagwright {
        self.login(self.plain(command, end, flags))
    }

    /// The same without a credential.
    pub fn plain<const N: usize>(&self, command: &str, end: &str, flags: [&str; N]) -> Tagwright {
        let run = tagwright([command]).arg(self.name(end)).args(flags);
        match &self.authority {
            Some(authority) => run.arg("--https").arg("--ca-file").arg(authority.ca_file()),
            None => run,
        }
    }

    /// The same with the credential of this door.
    pub fn login(&self, run: Tagwright) -> Tagwright {
        if self.asks() { run.login(USER, PASSWORD) } else { run }
    }

    /// Whether this door asks who is there.
    pub fn asks(&self) -> bool {
        !matches!(self.door, Door::Open | Door::Tls)
    }

    /// What reads and writes a repository without the program; a token is for one alone.
    pub fn client_of(&self, repository: &str) -> Client {
        match &self.tokens {
            Some(tokens) => self.live.client().bearer(&tokens.desk().pass(repository)),
            None if self.door == Door::Own => self.live.client().lent(USER, PASSWORD, repository),
            None => self.client.clone(),
        }
    }

    /// What a tag holds, read without the program.
    pub fn digest(&self, tag: &str) -> Option<String> {
        self.client.digest(REPOSITORY, tag)
    }
}
