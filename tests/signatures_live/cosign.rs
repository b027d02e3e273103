//! cosign as a child process, and the registries that it and the program under test share.

use crate::support::live::Live;
use crate::support::program::{Program, Setup, tool};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The two newest major versions.
pub const VERSIONS: [&str; 2] = ["cosign2", "cosign3"];

/// A key of the tests.
pub fn key(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys").join(name);
    path.to_str().unwrap().to_owned()
}

/// A registry of each make: one lists referrers, with the other they stand under the fall-back tag.
pub fn registries() -> Vec<Live> {
    let olareg = Setup { program: Program::Olareg, ..Setup::default() };
    vec![Live::start(&Setup::default()), Live::start(&olareg)]
}

/// cosign in a folder of its own, which is its home too.
pub struct Cosign {
    program: PathBuf,
    home: TempDir,
}

impl Cosign {
    /// The one that `scripts/install-tools signatures` has built.
    pub fn new(version: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = r#"{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}"#;
        std::fs::write(home.path().join("root.json"), root).unwrap();
        Self { program: tool(&format!("{version}/cosign")), home }
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs it; `root.json` in its folder is a root of trust that trusts nobody.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(words).current_dir(self.home.path()).env_clear().env("HOME", self.home.path());
        command.env("COSIGN_PASSWORD", "").env("PATH", "/usr/bin:/bin").output().unwrap()
    }
}
