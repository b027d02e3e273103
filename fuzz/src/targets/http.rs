//! Addresses, headers, and what a server says when it refuses.

use super::check::{self, ok, text};
use tagwright::pure::http::fault::Fault;
use tagwright::pure::http::message::{Headers, Method, Repeat, Request, Response};
use tagwright::pure::http::proxy::Proxies;
use tagwright::pure::http::refusal::{self, ErrorDocument, Subject};
use tagwright::pure::http::retry::{self, Pace, Verdict};
use tagwright::pure::http::url::{Place, Scheme, Url, place, split_host_port};
use tagwright::pure::http::{Budget, certificate, link, redact, redirect, warning};
use tagwright::pure::hub::page;
use tagwright::pure::text::instant;
use time::OffsetDateTime;

fn address(text: &str) -> Url {
    Url::parse(text).expect("an address")
}

fn response(status: u16, headers: Headers, body: &[u8]) -> Response {
    Response {
        from: address("https://registry.example/v2/acme/app/manifests/1"),
        status,
        headers,
        body: body.to_vec(),
        secrets: Default::default(),
    }
}

/// An address is written so that it reads the same, and never holds what a request line cannot.
pub fn url(data: &[u8]) {
    let text = text(data);
    split_host_port(&text);
    place(&text);
    let base = address("https://registry.example:8443/v2/acme/app/tags/list?n=1");
    for read in [ok(Url::parse(&text)), ok(base.join(&text))].into_iter().flatten() {
        let shown = read.to_string();
        assert_eq!(Url::parse(&shown).ok().as_ref(), Some(&read), "{shown}");
        assert!(shown.is_ascii() && !shown.contains(|c: char| c.is_ascii_control() || c == ' '), "{shown:?}");
        assert!(read.path().starts_with('/'));
        let bare = redact::url(&read);
        assert!(bare.starts_with(&read.origin().to_string()));
    }
}

/// A redirect leads neither to the clear nor inwards, and takes a credential nowhere.
pub fn redirect(data: &[u8]) {
    let mut headers = Headers::new();
    headers.push("location", text(data));
    for home in ["https://registry.example/v2/acme/app/blobs/1?a=b", "http://10.0.0.1:5000/v2/acme/app/blobs/1"] {
        let home = address(home);
        for (method, status) in [(Method::Get, 307), (Method::Put, 308), (Method::Head, 302)] {
            let request = Request::new(method, home.clone()).header("Authorization", "Basic secret");
            let Some(Some(next)) = ok(redirect::follow(&request, status, &headers, std::slice::from_ref(&home))) else {
                continue;
            };
            let there = place(next.url.host());
            assert!(home.scheme() == Scheme::Http || next.url.scheme() == Scheme::Https, "{}", next.url);
            assert!(!matches!(there, Place::LinkLocal | Place::Odd), "{}", next.url);
            assert!(there == Place::Public || place(home.host()) != Place::Public, "{}", next.url);
            let same = next.url.origin() == home.origin();
            assert_eq!(next.headers.get("authorization").is_some(), same, "{}", next.url);
            assert!(same || method != Method::Put);
        }
    }
}

/// The next page is asked of the server that gave the first.
pub fn link(data: &[u8]) {
    let base = address("https://registry.example:8443/v2/acme/app/tags/list?n=1");
    let mut headers = Headers::new();
    text(data).lines().for_each(|line| headers.push("Link", line));
    if let Some(Some(next)) = link::next(&headers, &base).map(ok) {
        assert_eq!(next.origin(), base.origin());
        assert_eq!(Url::parse(&next.to_string()).ok(), Some(next));
    }
}

/// What is told of a certificate is no longer than the certificate.
pub fn certificate(data: &[u8]) {
    if let Some(issuer) = certificate::read(data).and_then(|read| read.issuer) {
        assert!(issuer.len() < data.len());
    }
}

/// A refusal becomes one short line, whatever its body is.
pub fn refusal(data: &[u8]) {
    let request = Request::new(Method::Get, address("https://registry.example/v2/acme/app/manifests/1"));
    let html = data.first() == Some(&b'<');
    for status in [400, 401, 403, 404, 405, 409, 429, 500, 503] {
        let mut headers = Headers::new();
        headers.push("content-type", if html { "text/html" } else { "application/json" });
        headers.push("x-request-id", text(data));
        headers.push("ratelimit-limit", text(data));
        let response = response(status, headers, data);
        let said = ErrorDocument::read(&response);
        assert!(said.words().iter().all(|text| text.chars().count() <= 520 && !text.contains(char::is_control)));
        for subject in
            [Subject::Manifest, Subject::Write, Subject::Blob, Subject::Tags, Subject::HubTags, Subject::Service]
        {
            check::error(&refusal::error(subject, "read `acme/app:1`", &request, &response));
        }
        check::error(&refusal::elsewhere(&request.url, "read `acme/app:1`", &request, &response));
        assert!(status == 404 || !refusal::proves_absence(Method::Get, &response, true));
        refusal::shows_registry(&response);
    }
}

/// No number of a header is too large to wait for in words, and no date too odd.
pub fn header(data: &[u8]) {
    let text = text(data);
    let now = OffsetDateTime::from_unix_timestamp(1_787_227_200).expect("a date");
    retry::http_date(&text, now);
    if let Some(moment) = instant::parse(&text) {
        assert_eq!(instant::parse(&instant::rfc3339(moment)), Some(moment.truncate_to_second()));
    }
    for texts in text.lines().map(warning::texts) {
        assert!(texts.len() <= text.len());
        texts.iter().for_each(|text| check::terminal(text));
    }
    for name in ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Docker-RateLimit-Source"] {
        let mut headers = Headers::new();
        headers.push("RateLimit-Limit", "100;w=21600");
        headers.remove(name);
        headers.push(name, text.as_str());
        let told = Budget::told(&headers);
        told.resets_at(now);
        check::terminal(&(told.words() + told.counted_by.as_deref().unwrap_or_default()));
    }
    for name in ["Retry-After", "X-Retry-After"] {
        let mut headers = Headers::new();
        headers.push(name, text.as_str());
        let wait = retry::retry_after(&headers, now);
        Pace::usual(3).wait(1, wait, u64::MAX);
        let verdict = retry::verdict(Repeat::Freely, Ok(&response(503, headers, b"")), now);
        assert_eq!(verdict, Verdict::Passing(wait));
    }
}

/// A proxy that is chosen is one that was named, and never for an address that no proxy may see.
pub fn proxy(data: &[u8]) {
    let text = text(data);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, &text));
    let proxies = Proxies::read(|name| match name {
        "HTTPS_PROXY" | "http_proxy" => Some(first),
        "NO_PROXY" => Some(rest),
        _ => None,
    });
    for url in ["https://registry.example/v2/", "http://10.1.2.3:5000/v2/", "http://[fd00::1]/v2/"] {
        match proxies.pick(&address(url)) {
            Ok(Some(proxy)) => assert!(!proxy.authority().contains('@')),
            Err(fault @ Fault::Config { .. }) => check::terminal(&fault.to_string()),
            _ => {}
        }
    }
    for url in ["http://127.0.0.1:5000/", "http://169.254.169.254/latest", "http://[fd00:ec2::254]/latest"] {
        assert_eq!(proxies.pick(&address(url)), Ok(None));
    }
}

/// A page is read or refused, and the next one lies at the same place.
pub fn hub_page(data: &[u8]) {
    let api = address("https://hub.docker.com");
    if let Some(page) = ok(page::parse(data)) {
        assert!(page.tags.len() <= data.len());
        if let Some(Some(next)) = page.next.map(|next| ok(page::next_url(&api, &next))) {
            assert_eq!(next.origin(), api.origin());
        }
    }
    if let Some(next) = ok(page::next_url(&api, &text(data))) {
        assert_eq!(next.origin(), api.origin());
    }
}
