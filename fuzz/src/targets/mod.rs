//! One function for each kind of text that somebody else writes: it reads the bytes as the program does, and asserts
//! what holds whatever they are.
//!
//! `tests/it/fuzz.rs` runs each over its seeds, so that what is here compiles and holds without a fuzzer.

mod auth;
mod aws;
mod check;
mod http;
mod image;
mod output;
mod promote;
mod request;
mod signature;

/// One kind of text.
pub struct Target {
    /// What `make fuzz TARGET=` calls it.
    pub name: &'static str,
    /// Whose tests hold its seeds.
    pub sources: &'static [&'static str],
    /// Reads the bytes, and panics where a promise is broken.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, sources: &'static [&'static str], run: fn(&[u8])) -> Target {
    Target { name, sources, run }
}

/// Every target, in the order in which `make fuzz` runs them.
pub const ALL: &[Target] = &[
    target(
        "reference",
        &[
            "src/pure/image/reference.rs",
            "src/pure/image/repository.rs",
            "src/pure/image/registry.rs",
            "src/pure/image/digest.rs",
            "src/pure/image/tag.rs",
        ],
        image::reference,
    ),
    target("platform", &["src/pure/image/platform.rs"], image::platform),
    target(
        "manifest",
        &["src/pure/image/content.rs", "src/pure/image/descriptor.rs", "src/pure/image/media_type.rs"],
        image::manifest,
    ),
    target("index", &["src/pure/image/content.rs", "src/pure/image/referrers.rs"], image::index),
    target("config", &["src/pure/image/config.rs"], image::config),
    target(
        "version",
        &[
            "src/pure/version/scheme.rs",
            "src/pure/version/pick.rs",
            "src/pure/version/calver.rs",
            "src/pure/version/since.rs",
        ],
        promote::version,
    ),
    target("template", &["src/pure/promote/template.rs", "src/pure/text/glob.rs"], promote::template),
    target("record", &["src/pure/promote/recorded.rs", "src/pure/promote/history.rs"], promote::record),
    target(
        "signed-record",
        &["src/pure/promote/signed_record.rs", "src/pure/signature/sign.rs"],
        promote::signed_record,
    ),
    target("upload", &["src/pure/promote/upload.rs"], promote::upload),
    target(
        "challenge",
        &["src/pure/auth/challenge.rs", "src/pure/auth/flow.rs", "src/pure/auth/scope.rs"],
        auth::challenge,
    ),
    target("token", &["src/pure/auth/token.rs", "src/pure/hub/login.rs"], auth::token),
    target("docker-config", &["src/pure/auth/docker_config.rs"], auth::docker_config),
    target("helper", &["src/pure/auth/docker_config.rs"], auth::helper),
    target("url", &["src/pure/http/url.rs"], http::url),
    target("redirect", &["src/pure/http/redirect.rs", "src/pure/http/url.rs"], http::redirect),
    target("link", &["src/pure/http/link.rs"], http::link),
    target("certificate", &["src/pure/http/certificate.rs"], http::certificate),
    target("refusal", &["src/pure/http/refusal.rs"], http::refusal),
    target(
        "header",
        &["src/pure/http/budget.rs", "src/pure/http/retry.rs", "src/pure/http/warning.rs", "src/pure/text/instant.rs"],
        http::header,
    ),
    target("proxy", &["src/pure/http/proxy.rs"], http::proxy),
    target("hub-page", &["src/pure/hub/page.rs"], http::hub_page),
    target("profile", &["src/pure/aws/profile.rs", "src/pure/aws/profile_plan.rs"], aws::profile),
    target("aws-answer", &["src/pure/aws/answer.rs", "src/pure/aws/sts.rs"], aws::answer),
    target("ecr", &["src/pure/aws/ecr.rs"], aws::ecr),
    target("aws-fault", &["src/pure/aws/fault.rs"], aws::fault),
    target("aws-host", &["src/pure/aws/host.rs", "tests/fixtures/aws/endpoints.tsv"], aws::host),
    target("request", &["src/cli/json.rs", "tests/it/call.rs"], request::json),
    target("words", &["src/cli/parse.rs", "tests/it/usage.rs"], request::words),
    target(
        "public-key",
        &[
            "src/pure/signature/public_key.rs",
            "src/pure/signature/pem.rs",
            "src/pure/der.rs",
            "tests/fixtures/keys/p256.pub",
        ],
        signature::public_key,
    ),
    target(
        "signature",
        &[
            "src/pure/signature/bundle.rs",
            "src/pure/signature/envelope.rs",
            "src/pure/signature/requirement.rs",
            "src/pure/signature/simple_signing.rs",
            "src/pure/signature/statement.rs",
        ],
        signature::signature,
    ),
    target("redact", &["src/pure/http/redact.rs"], output::redact),
    target("guard", &["src/pure/text/percent.rs", "src/pure/text/json.rs"], output::guard),
    target(
        "board",
        &["src/pure/board/markup.rs", "src/pure/board/compare.rs", "src/pure/board/moving.rs"],
        output::board,
    ),
    target("show", &["src/pure/text/show.rs", "src/pure/text/shell.rs"], output::show),
];
