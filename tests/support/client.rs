//! A plain HTTP client of the tests' own: pushes images to real registries and reads them back, sharing nothing
//! with the program under test.

use super::archive::Layer;
use super::image::{Built, types};
use super::text::{base64, digest};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
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
        self.send_from(method, target, headers, body.len() as u64, &mut &body[..])
    }

    /// The same with so many bytes of a body that is read while it is sent.
    fn send_from(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        length: u64,
        body: &mut dyn Read,
    ) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host);
        if let Some(value) = &self.authorization {
            head.push_str(&format!("Authorization: {value}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
        let mut request = head.as_bytes().chain(body.take(length));
        let mut stream = TcpStream::connect(&self.host).unwrap_or_else(|error| panic!("{}: {error}", self.host));
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // Head and body are two writes, and without this the second waits until the first is acknowledged.
        stream.set_nodelay(true).unwrap();
        match &self.tls {
            None => {
                std::io::copy(&mut request, &mut stream).unwrap();
                read_answer(stream, method)
            }
            Some(config) => {
                let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name).to_owned();
                let connection = rustls::ClientConnection::new(config.clone(), name.try_into().unwrap()).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                std::io::copy(&mut request, &mut stream).unwrap();
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

    /// The same with a token of the registry's own token server, for a repository that is read and written.
    #[must_use]
    pub fn lent(&self, user: &str, password: &str, repository: &str) -> Self {
        let answer = Self::new(&self.host).get(&format!("/v2/{repository}/tags/list"));
        let challenge = answer.header("www-authenticate").unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        let part = |name: &str| challenge.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        let realm = part("realm").unwrap().strip_prefix("http://").unwrap();
        let (host, place) = realm.split_once('/').unwrap();
        let service = part("service").unwrap();
        let target = format!("/{place}?service={service}&scope=repository:{repository}:pull,push&account={user}");
        let answer = Self::new(host).basic(user, password).get(&target);
        let reply: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        self.clone().bearer(reply["token"].as_str().unwrap())
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
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
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
        self.put(repository, tag, built);
        built.digest()
    }

    /// Pushes a manifest that refers to another, with its blobs, and lists it under the fall-back tag where the
    /// registry does not list referrers itself.
    pub fn refer(&self, repository: &str, built: &Built) {
        for blob in &built.blobs {
            self.push_blob(repository, blob);
        }
        let answer = self.put(repository, &built.digest(), built);
        if answer.header("oci-subject").is_some() {
            return;
        }
        let body: Value = serde_json::from_slice(&built.bytes).unwrap();
        let subject = body["subject"]["digest"].as_str().unwrap();
        let mut list = self.referrers(repository, subject);
        let mut entry = built.descriptor();
        entry["artifactType"] = body["artifactType"].clone();
        entry["annotations"] = body["annotations"].clone();
        list.push(entry);
        let index = json!({"schemaVersion": 2, "mediaType": types::OCI_INDEX, "manifests": list});
        self.put(repository, &subject.replace(':', "-"), &Built::raw(types::OCI_INDEX, index.to_string()));
    }

    /// The descriptors of what refers to a digest, by the referrers API, else by the fall-back tag.
    pub fn referrers(&self, repository: &str, subject: &str) -> Vec<Value> {
        let mut answer = self.get(&format!("/v2/{repository}/referrers/{subject}"));
        if answer.status == 404 {
            answer = self.get(&format!("/v2/{repository}/manifests/{}", subject.replace(':', "-")));
        }
        match answer.status {
            200 => serde_json::from_slice::<Value>(&answer.body).unwrap()["manifests"].as_array().unwrap().clone(),
            404 => Vec::new(),
            status => panic!("referrers of {subject}: {status} {}", String::from_utf8_lossy(&answer.body)),
        }
    }

    fn put(&self, repository: &str, identifier: &str, built: &Built) -> Answer {
        let target = format!("/v2/{repository}/manifests/{identifier}");
        let answer = self.send("PUT", &target, &[("Content-Type", &built.media_type)], &built.bytes);
        assert_eq!(answer.status, 201, "PUT {target}: {}", String::from_utf8_lossy(&answer.body));
        answer
    }

    fn push_blob(&self, repository: &str, blob: &[u8]) {
        let target = ending(&self.start_upload(repository), &digest(blob));
        let answer = self.send("PUT", &target, &[("Content-Type", "application/octet-stream")], blob);
        assert_eq!(answer.status, 201, "PUT {target}: {}", String::from_utf8_lossy(&answer.body));
    }

    /// Pushes a layer while it is made, and returns its digest and that of the archive in it.
    pub fn stream(&self, repository: &str, mut layer: Layer) -> (String, String) {
        let target = self.start_upload(repository);
        let kind = [("Content-Type", "application/octet-stream")];
        let answer = self.send_from("PATCH", &target, &kind, layer.packed_length(), &mut layer);
        assert_eq!(answer.status, 202, "PATCH {target}: {}", String::from_utf8_lossy(&answer.body));
        let (digest, archive) = layer.digests();
        let target = ending(&path(&answer), &digest);
        let answer = self.send("PUT", &target, &kind, b"");
        assert_eq!(answer.status, 201, "PUT {target}: {}", String::from_utf8_lossy(&answer.body));
        (digest, archive)
    }

    fn start_upload(&self, repository: &str) -> String {
        let answer = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
        assert_eq!(answer.status, 202, "POST: {}", String::from_utf8_lossy(&answer.body));
        path(&answer)
    }
}

/// Path and query of `Location`.
fn path(answer: &Answer) -> String {
    let location = answer.header("location").unwrap();
    match location.split_once("://") {
        Some((_, rest)) => rest[rest.find('/').unwrap()..].to_owned(),
        None => location.to_owned(),
    }
}

/// The target that ends an upload.
fn ending(location: &str, digest: &str) -> String {
    let join = if location.contains('?') { '&' } else { '?' };
    format!("{location}{join}digest={}", digest.replace(':', "%3A"))
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
