//! Real registries, each on a free port.
//!
//! Storage lies in a temporary folder; the process ends when its handle is dropped, or with the test itself.

use super::client::Client;
use super::program::{Setup, Start};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// A running registry.
pub struct Live {
    host: String,
    version: String,
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    keeper: Option<thread::JoinHandle<()>>,
}

impl Live {
    /// Starts a registry and waits until it listens. Fails the test where there is none to start.
    pub fn start(setup: &Setup) -> Self {
        let version = setup.program.version();
        let folder = tempfile::tempdir().unwrap();
        let command = setup.program.start(setup, folder.path());
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::channel();
        // The child asks the kernel to die with the thread that started it, so this thread stays with it to the end.
        let keeper = thread::spawn({
            let stop = stop.clone();
            move || keep(command, &stop, &tell)
        });
        let host = match told.recv_timeout(Duration::from_secs(30)) {
            Ok(Ok(host)) => host,
            Ok(Err(why)) => panic!("{version} did not start: {why}"),
            Err(why) => panic!("{version} did not say that it listens: {why}"),
        };
        setup.program.prepare(setup, &host);
        Self { host, version, folder, stop, keeper: Some(keeper) }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// `127.0.0.1:PORT/REPOSITORY`.
    pub fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host)
    }

    /// Name and version of the program.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where everything it stores lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client without a credential.
    pub fn client(&self) -> Client {
        Client::new(&self.host)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

fn keep(mut start: Start, stop: &AtomicBool, tell: &mpsc::Sender<Result<String, String>>) {
    let started = start.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return tell.send(Err(error.to_string())).unwrap_or_default(),
    };
    let reader = thread::spawn({
        let stderr = child.stderr.take();
        let tell = tell.clone();
        move || {
            let mut seen = String::new();
            let Some(stderr) = stderr else { return };
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let host: String = rest.chars().take_while(|c| !matches!(c, ',' | '"' | ' ')).collect();
                    let _ = tell.send(Ok(host));
                    seen.clear();
                }
                seen.extend([&line, "\n"]);
            }
            let _ = tell.send(Err(seen));
        }
    });
    while !stop.load(Ordering::SeqCst) && child.try_wait().is_ok_and(|status| status.is_none()) {
        if let Some(address) = start.host.take_if(|address| TcpStream::connect(*address).is_ok()) {
            let _ = tell.send(Ok(address.to_string()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    end(&mut child);
    let _ = reader.join();
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
