//! What here does what words of other programs do there, for those who try them.

use crate::pure::text::nearest::bare;

/// What does here what a command of another program does there.
pub fn instead(command: &str) -> Option<&'static str> {
    Some(match command {
        "ls" | "list" => "write `tags REPOSITORY`",
        "tag" | "retag" => "write `promote REFERENCE --to TAG`, or `--move TAG` for a tag that may move",
        "copy" | "cp" | "mirror" | "sync" => "write `promote REFERENCE --into REPOSITORY`",
        "digest" => "write `inspect REFERENCE --print digest`",
        "compare" => "write `diff REFERENCE REFERENCE`",
        "manifest" | "config" => "write `inspect REFERENCE --raw`, or `--config`",
        "completion" => "write `completion bash`, `completion zsh` or `completion fish`",
        "undo" => "write `rollback --record FILE`, or run the command that the promotion printed",
        "login" | "logout" => SECRETS,
        "pull" | "push" => "no image has to come here: `promote` gives it tags where it is, `labels` reads its labels",
        _ => return None,
    })
}

/// What says here what a flag of another program says there; `flag` stands without its dashes.
pub fn flag_instead(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "insecure" | "tls-verify" => "write `--plain-http HOST` for plain HTTP, `--ca-file PEM` for roots of your own",
        "o" | "output" => "write `--json` for JSON on a terminal, `--print PATH` for one value",
        "format" | "jq" | "query" => "write `--print PATH`, as in `--print 'tags.*.tag'`",
        "q" => "write `--quiet`",
        "filter" | "include" => "write `--match GLOB`",
        "n" | "last" => "write `--limit N`",
        "debug" | "trace" | "log-level" => "write `--verbose`",
        "u" | "user" => "write `--username NAME --password-stdin`",
        "p" | "pass" | "password" | "passwd" | "token" => SECRETS,
        _ => return None,
    })
}

/// Where a credential comes from, for those who look for a flag that takes one.
pub const SECRETS: &str = "a credential comes from `REGISTRY_USERNAME` and `REGISTRY_PASSWORD` in the environment, a Docker config file, or `--username NAME --password-stdin`; no flag takes one";

/// Whether a word that is not known names a credential.
pub fn is_about_secrets(typed: &str) -> bool {
    let typed: String = bare(typed).into_iter().collect();
    ["user", "password", "passwd", "token", "cred", "secret", "auth"].iter().any(|part| typed.contains(part))
}
