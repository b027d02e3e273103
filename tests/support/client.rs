//! A plain HTTP client of the tests' own: pushes images to real registries and reads them back, sharing nothing
//! with the program under test.

use super::image::Built;
use super::text::{base64, digest};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// How to reach a registry.
#[derive(Clone, Default)]
pub struct Client {
    /// `127.0.0.1:PORT`.
    pub host: String,
    /// The value of `Authorization`.
    pub authorization: Option<String>,
    /// What to trust, for TLS.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// An answer read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a field; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Client {
    /// Without a credential.
    pub fn new(host: &str) -> Self {
        Self { host: host.to_owned(), ..Self::default() }
    }

    /// With a password.
    #[must_use]
    pub fn basic(mut self, user: &str, password: &str) -> Self {
        self.authorization = Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes())));
        self
    }

    /// With a token.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    /// In TLS.
    #[must_use]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// One request on a connection of its own.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host);
        if let Some(value) = &self.authorization {
            head.push_str(&format!("Authorization: {value}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);

        let mut stream = TcpStream::connect(&self.host).unwrap_or_else(|error| panic!("{}: {error}", self.host));
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        match &self.tls {
            None => {
                stream.write_all(&bytes).unwrap();
                read_answer(stream, method)
            }
            Some(config) => {
                let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name).to_owned();
                let connection = rustls::ClientConnection::new(config.clone(), name.try_into().unwrap()).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                stream.write_all(&bytes).unwrap();
                read_answer(stream, method)
            }
        }
    }

    /// A `GET` with the media types that registries want to be asked for.
    pub fn get(&self, target: &str) -> Answer {
        use super::image::types::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
        let accept = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(", ");
        self.send("GET", target, &[("Accept", &accept)], b"")
    }

    /// The digest of what a tag holds, computed from the bytes; `None` where there is no such tag.
    pub fn digest(&self, repository: &str, tag: &str) -> Option<String> {
        let answer = self.get(&format!("/v2/{repository}/manifests/{tag}"));
        match answer.status {
            200 => Some(digest(&answer.body)),
            404 => None,
            status => panic!("{repository}:{tag}: {status} {}", String::from_utf8_lossy(&answer.body)),
        }
    }

    /// Every tag of a repository, as the registry lists them.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let answer = self.get(&format!("/v2/{repository}/tags/list"));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let list = body["tags"].as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
    }

    /// Pushes a manifest with everything below it and returns its digest.
    pub fn push(&self, repository: &str, tag: &str, built: &Built) -> String {
        for child in &built.children {
            self.push(repository, &child.digest(), child);
        }
        for blob in &built.blobs {
            self.push_blob(repository, blob);
        }
        let target = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.send("PUT", &target, &[("Content-Type", &built.media_type)], &built.bytes);
        assert_eq!(answer.status, 201, "PUT {target}: {}", String::from_utf8_lossy(&answer.body));
        built.digest()
    }

    fn push_blob(&self, repository: &str, blob: &[u8]) {
        let answer = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
        assert_eq!(answer.status, 202, "POST: {}", String::from_utf8_lossy(&answer.body));
        let location = answer.header("location").unwrap();
        let target = match location.split_once("://") {
            Some((_, rest)) => &rest[rest.find('/').unwrap()..],
            None => location,
        };
        let join = if target.contains('?') { '&' } else { '?' };
        let target = format!("{target}{join}digest={}", digest(blob).replace(':', "%3A"));
        let answer = self.send("PUT", &target, &[("Content-Type", "application/octet-stream")], blob);
        assert_eq!(answer.status, 201, "PUT {target}: {}", String::from_utf8_lossy(&answer.body));
    }
}

fn read_answer(stream: impl Read, method: &str) -> Answer {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if method == "HEAD" {
        return answer;
    }
    if answer.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let size = u64::from_str_radix(line.trim(), 16).unwrap();
            reader.by_ref().take(size).read_to_end(&mut answer.body).unwrap();
            reader.read_line(&mut line).unwrap();
            if size == 0 {
                break;
            }
        }
    } else {
        let length = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
        reader.take(length).read_to_end(&mut answer.body).unwrap();
    }
    answer
}
