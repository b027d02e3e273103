//! The files of the AWS tools, and what AWS answers.

use super::check::{self, ok, text};
use tagwright::pure::aws::answer::{self, AwsCredential, Form};
use tagwright::pure::aws::ecr as api;
use tagwright::pure::aws::fault::{AwsFault, skew, skew_text};
use tagwright::pure::aws::host::{EcrHost, Variant, misspelt, sts_host};
use tagwright::pure::aws::profile::{Profiles, SharedFile};
use tagwright::pure::aws::sigv4::signature::sign;
use tagwright::pure::aws::sigv4::string_to_sign::SignatureScope;
use tagwright::pure::aws::{profile_plan, sts};
use tagwright::pure::http::message::{Headers, Method, Request, Response};
use tagwright::pure::http::url::Url;
use tagwright::pure::image::tag::Tag;
use time::OffsetDateTime;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_787_227_200).expect("a date")
}

/// No chain of profiles goes on for ever, and none is longer than there are profiles.
pub fn profile(data: &[u8]) {
    let text = text(data);
    for kind in [SharedFile::Credentials, SharedFile::Config] {
        let mut profiles = Profiles::default();
        if ok(profiles.add(&text, "~/.aws/config", kind)).is_none() {
            continue;
        }
        let names: Vec<String> = profiles.names().into_iter().map(str::to_owned).collect();
        for name in names.iter().map(String::as_str).chain(["default"]).take(20) {
            if let Some(Some(plan)) = ok(profile_plan::plan(&profiles, name)) {
                assert!(plan.through.len() <= names.len());
            }
            profiles.endpoint_url(name, "ecr");
        }
    }
}

/// A credential that is taken can sign; none that cannot be sent is taken.
pub fn answer(data: &[u8]) {
    for form in [Form::Container, Form::Metadata, Form::Process] {
        if let Some(credential) = ok(answer::parse(data, form)) {
            signs(&credential);
        }
    }
    if let Some(credential) = ok(sts::credential(data)) {
        signs(&credential);
    }
    if let Some(arn) = ok(sts::arn(data)) {
        assert!(!arn.is_empty());
    }
    let text = text(data);
    let name = sts::session_name(Some(&text), Some(&text));
    assert!((2..=64).contains(&name.len()) && name.is_ascii());
}

fn signs(credential: &AwsCredential) {
    credential.has_expired(now());
    let url = Url::parse("https://api.ecr.eu-west-1.amazonaws.com/").expect("an address");
    let scope = SignatureScope::new(now(), "eu-west-1", "ecr");
    let signed = sign(Request::new(Method::Post, url).body(b"{}".to_vec()), credential, &scope);
    for (name, value) in signed.headers.iter() {
        assert!(!value.contains(['\r', '\n', '\0']), "`{name}` would end its line");
    }
}

/// What ECR's own API answers is read or refused.
pub fn ecr(data: &[u8]) {
    if let Some((images, failures)) = ok(api::images(data)) {
        assert!(images.len() + failures.len() <= data.len());
        for (_, fault) in &failures {
            let request =
                Request::new(Method::Post, Url::parse("https://api.ecr.eu-west-1.amazonaws.com/").expect("an address"));
            check::error(&fault.error("cannot read", "Amazon ECR", &request));
        }
    }
    let tag = Tag::latest();
    ok(api::kept(data, &[&tag]));
    ok(api::stored(data));
    ok(api::download_url(data));
    if let Some(page) = ok(api::page(data)) {
        assert!(page.tags.len() <= data.len());
    }
    ok(api::login(data));
}

/// A refusal of AWS is told in one short line, and never repeats what was signed.
pub fn fault(data: &[u8]) {
    let text = text(data);
    let from = Url::parse("https://api.ecr.eu-west-1.amazonaws.com/").expect("an address");
    let (first, rest) = text.split_once('\n').unwrap_or((&text, &text));
    let request = Request::new(Method::Post, from.clone());
    for status in [400, 403, 429, 500] {
        let mut headers = Headers::new();
        headers.push("date", first);
        headers.push("x-amzn-requestid", first);
        if rest.len() % 2 == 1 {
            headers.push("x-amzn-errortype", first);
        }
        let response =
            Response { from: from.clone(), status, headers, body: data.to_vec(), secrets: Default::default() };
        let fault = AwsFault::read(&response);
        assert!(fault.message.chars().count() <= 500 && !fault.message.contains(char::is_control));
        assert!(fault.name.len() <= 80);
        check::error(&fault.error("cannot read", "Amazon ECR", &request));
        if let Some(ahead) = skew(&fault, &response, now()) {
            skew_text(ahead);
        }
    }
}

/// A host that is one of Amazon's is written so that it reads the same.
pub fn host(data: &[u8]) {
    let text = text(data);
    for text in text.split(['\t', '\n', ' ']) {
        misspelt(text);
        let Some(host) = EcrHost::parse(text) else { continue };
        for (fips, dual_stack) in [(false, false), (true, true)] {
            let wanted = Variant { fips, dual_stack };
            assert!(!host.api_host(wanted).is_empty() && !sts_host(host.region(), wanted).is_empty());
        }
    }
}
