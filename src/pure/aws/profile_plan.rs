//! What a profile asks for: where its first credential comes from, and which roles are assumed with it.
//!
//! `source_profile` leads from profile to profile; the plan is the way back, the innermost role
//! first. The order of what a profile may hold is that of the AWS SDKs.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Assume role credential provider".

use crate::error::{Code, Error};
use crate::pure::aws::{AwsCredential, Profiles, Role, Section, answer};
use crate::pure::text::quoted;

/// Where the first credential of a profile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Keys in the file.
    Keys(AwsCredential),
    /// `credential_source = Environment`.
    Environment,
    /// `credential_source = Ec2InstanceMetadata`.
    Metadata,
    /// `credential_source = EcsContainer`.
    Container,
    /// A token file, and the role that takes it.
    WebIdentity {
        /// The file with the token.
        token_file: String,
        /// The role.
        role: Role,
    },
    /// A command line whose stdout holds the credential.
    Process(String),
}

/// How to get the credential of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfilePlan {
    /// Where it starts.
    pub base: Base,
    /// The roles to assume with it, in order.
    pub roles: Vec<Role>,
    /// The profiles on the way, for reports: the one asked for first.
    pub through: Vec<String>,
}

/// Decides how to get the credential of a profile; `None` where it asks for none.
///
/// # Errors
/// `config-malformed` where the profile, or one that it leads to, cannot work.
pub fn plan(profiles: &Profiles, name: &str) -> Result<Option<ProfilePlan>, Error> {
    let Some(first) = profiles.get(name) else { return Err(unknown(profiles, name, None)) };
    if !asks_for_any(first) {
        return Ok(None);
    }
    let mut through = vec![name.to_owned()];
    let mut roles = Vec::new();
    let mut section = first;
    let base = loop {
        let here = through.last().cloned().unwrap_or_default();
        // Whoever is led here takes the keys that are here; a role beside them is for whoever names the profile.
        if through.len() > 1
            && let Some(found) = keys(section, &here)?
        {
            break Base::Keys(found);
        }
        if section.get("mfa_serial").is_some() && section.get("role_arn").is_some() {
            let why = "it wants a code from an MFA device (`mfa_serial`), which nobody can type here";
            return Err(bad(&here, section, why)
                .hint("use a role without MFA for pipelines, or pass the keys of a session that has passed MFA"));
        }
        let role = role(section, &here)?;
        let source = section.get("source_profile").filter(|_| role.is_some());
        if source.is_some() && section.get("credential_source").is_some() {
            return Err(
                bad(&here, section, "it has both `source_profile` and `credential_source`").hint("keep one of the two")
            );
        }
        let Some(next) = source else {
            let base = base(profiles, section, &here, role.is_some())?;
            // The role of a token file is part of the base already.
            if !matches!(base, Base::WebIdentity { .. }) {
                roles.extend(role);
            }
            break base;
        };
        roles.extend(role);
        // A profile may name itself to assume its role with its own keys.
        if next == here && keys(section, &here)?.is_some() {
            break base(profiles, section, &here, true)?;
        }
        if through.iter().any(|seen| seen == next) {
            let circle = through.iter().map(String::as_str).chain([next]).collect::<Vec<_>>().join("` → `");
            return Err(bad(&here, section, &format!("`source_profile` goes in a circle: `{circle}`"))
                .hint("let the last profile hold keys, a `credential_source` or a `credential_process`"));
        }
        section = profiles.get(next).ok_or_else(|| unknown(profiles, next, Some(&here)))?;
        through.push(next.to_owned());
    };
    roles.reverse();
    Ok(Some(ProfilePlan { base, roles, through }))
}

const ASKING: [&str; 9] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "role_arn",
    "web_identity_token_file",
    "credential_process",
    "credential_source",
    "sso_session",
    "sso_account_id",
    "sso_start_url",
];

// A profile that holds a region alone is none of the sources; the next one is asked.
fn asks_for_any(section: &Section) -> bool {
    ASKING.iter().any(|key| section.get(key).is_some())
}

fn base(profiles: &Profiles, section: &Section, name: &str, has_role: bool) -> Result<Base, Error> {
    if let Some(found) = keys(section, name)? {
        return Ok(Base::Keys(found));
    }
    if let Some(source) = section.get("credential_source") {
        if !has_role {
            return Err(bad(name, section, "it has a `credential_source` and no `role_arn`")
                .hint("add the `role_arn` that is to be assumed"));
        }
        return match source {
            "Environment" => Ok(Base::Environment),
            "Ec2InstanceMetadata" => Ok(Base::Metadata),
            "EcsContainer" => Ok(Base::Container),
            _ => Err(bad(name, section, "its `credential_source` is none that there is")
                .hint("write `Environment`, `Ec2InstanceMetadata` or `EcsContainer`")),
        };
    }
    if let Some(token_file) = section.get("web_identity_token_file") {
        let role = role(section, name)?.ok_or_else(|| {
            bad(name, section, "it has a `web_identity_token_file` and no `role_arn`")
                .hint("add the `role_arn` that takes the token")
        })?;
        return Ok(Base::WebIdentity { token_file: token_file.to_owned(), role });
    }
    if ["sso_session", "sso_account_id", "sso_start_url"].iter().any(|key| section.get(key).is_some()) {
        return Err(single_sign_on(profiles, section, name));
    }
    if let Some(line) = section.get("credential_process") {
        return Ok(Base::Process(line.to_owned()));
    }
    let why = if has_role { "it has a `role_arn` and nothing to assume it with" } else { "it holds no credential" };
    Err(bad(name, section, why).hint("add `source_profile`, `credential_source` or keys to the profile"))
}

// The cached login lies under the SHA-1 of a name, and no SHA-1 is in this program.
fn single_sign_on(profiles: &Profiles, section: &Section, name: &str) -> Error {
    let session = section.get("sso_session");
    if let Some(session) = session
        && profiles.sso_session(session).is_none()
    {
        return bad(name, section, &format!("it names the SSO session `{session}`, which no file has"))
            .hint(format!("add a section `[sso-session {session}]`, or run `aws configure sso`"));
    }
    let exported = format!("aws configure export-credentials --profile {name}");
    bad(name, section, "it logs in with single sign-on, which this program cannot read")
        .with_code(Code::CredentialMissing)
        .hint(format!(
            "run `aws sso login --profile {name}` and `eval \"$({exported} --format env)\"`, or add a profile with \
             `credential_process = {exported} --format process` and name it with `--aws-profile`"
        ))
}

fn keys(section: &Section, name: &str) -> Result<Option<AwsCredential>, Error> {
    let part = |key: &str| {
        let why = || bad(name, section, &format!("its `{key}` holds a character that no key has"));
        section.get(key).map(|text| answer::key(text).ok_or_else(why)).transpose()
    };
    match (part("aws_access_key_id")?, part("aws_secret_access_key")?) {
        (Some(key_id), Some(secret)) => {
            let session_token = part("aws_session_token")?;
            Ok(Some(AwsCredential { key_id, secret, session_token, expires_at: None }))
        }
        (Some(_), None) => Err(bad(name, section, "it has an `aws_access_key_id` and no `aws_secret_access_key`")),
        (None, Some(_)) => Err(bad(name, section, "it has an `aws_secret_access_key` and no `aws_access_key_id`")),
        (None, None) => Ok(None),
    }
}

fn role(section: &Section, name: &str) -> Result<Option<Role>, Error> {
    let Some(arn) = section.get("role_arn") else { return Ok(None) };
    let duration_seconds = match section.get("duration_seconds").map(str::parse::<u32>) {
        None => None,
        Some(Ok(seconds @ 900..=43_200)) => Some(seconds),
        Some(_) => {
            return Err(bad(name, section, "its `duration_seconds` is no number from 900 to 43200"));
        }
    };
    Ok(Some(Role {
        arn: arn.to_owned(),
        external_id: section.get("external_id").map(str::to_owned),
        session_name: section.get("role_session_name").map(str::to_owned),
        duration_seconds,
    }))
}

fn bad(name: &str, section: &Section, why: &str) -> Error {
    let message = format!("the AWS profile {} (`{}`) cannot be used: {why}", quoted(name), section.origin());
    Error::new(Code::ConfigMalformed, message)
}

fn unknown(profiles: &Profiles, name: &str, from: Option<&str>) -> Error {
    let by = from.map(|from| format!(", which the profile `{from}` names as its source,")).unwrap_or_default();
    let known = profiles.names();
    let error = Error::new(Code::ConfigMalformed, format!("the AWS profile {}{by} does not exist", quoted(name)));
    let files = profiles.files();
    if files.is_empty() {
        return error
            .cause("neither the credentials file nor the config file is there")
            .hint("set `AWS_SHARED_CREDENTIALS_FILE` or `AWS_CONFIG_FILE` to the file that has the profile");
    }
    let error = error.cause(format!("read {}", files.join(", ")));
    match known[..] {
        [] => error.hint("add the profile; the files that were read hold none"),
        _ => error.hint(format!("name one of: {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::aws::profile::SharedFile;
    use crate::secret::Secret;

    fn decide(config: &str, name: &str) -> Result<Option<ProfilePlan>, Error> {
        let mut profiles = Profiles::default();
        profiles.add(config, "config", SharedFile::Config).unwrap();
        plan(&profiles, name)
    }

    fn named(arn: &str) -> Role {
        Role { arn: arn.into(), ..Role::default() }
    }

    #[test]
    fn a_profile_leads_to_its_first_credential() {
        let keys = "aws_access_key_id=A\naws_secret_access_key=S\n";
        let credential =
            AwsCredential { key_id: Secret::new("A"), secret: Secret::new("S"), session_token: None, expires_at: None };
        for (config, base, roles, through) in [
            (format!("[default]\n{keys}"), Base::Keys(credential.clone()), vec![], vec!["default"]),
            (
                format!("[default]\nrole_arn=r1\nsource_profile=a\n[profile a]\n{keys}"),
                Base::Keys(credential.clone()),
                vec![named("r1")],
                vec!["default", "a"],
            ),
            (
                format!("[default]\nrole_arn=r1\nsource_profile=a\n[profile a]\nrole_arn=r2\nsource_profile=b\n[profile b]\n{keys}"),
                Base::Keys(credential.clone()),
                vec![named("r2"), named("r1")],
                vec!["default", "a", "b"],
            ),
            (
                format!("[default]\nrole_arn=r1\nsource_profile=a\n[profile a]\nrole_arn=r2\nsource_profile=b\n{keys}"),
                Base::Keys(credential.clone()),
                vec![named("r1")],
                vec!["default", "a"],
            ),
            (
                format!("[default]\nrole_arn=r1\nsource_profile=default\n{keys}"),
                Base::Keys(credential.clone()),
                vec![named("r1")],
                vec!["default"],
            ),
            (
                "[default]\nrole_arn=r1\ncredential_source=Environment\n".into(),
                Base::Environment,
                vec![named("r1")],
                vec!["default"],
            ),
            (
                "[default]\nrole_arn=r1\ncredential_source=Ec2InstanceMetadata\n".into(),
                Base::Metadata,
                vec![named("r1")],
                vec!["default"],
            ),
            (
                "[default]\nrole_arn=r1\ncredential_source=EcsContainer\n".into(),
                Base::Container,
                vec![named("r1")],
                vec!["default"],
            ),
            (
                "[default]\nrole_arn=r1\nweb_identity_token_file=/t\nrole_session_name=n\n".into(),
                Base::WebIdentity {
                    token_file: "/t".into(),
                    role: Role { session_name: Some("n".into()), ..named("r1") },
                },
                vec![],
                vec!["default"],
            ),
            (
                "[default]\ncredential_process=/bin/x --y \"a b\"\n".into(),
                Base::Process("/bin/x --y \"a b\"".into()),
                vec![],
                vec!["default"],
            ),
            (
                "[default]\nrole_arn=r1\nexternal_id=e\nduration_seconds=900\nrole_session_name=n\ncredential_process=x\n".into(),
                Base::Process("x".into()),
                vec![Role {
                    arn: "r1".into(),
                    external_id: Some("e".into()),
                    session_name: Some("n".into()),
                    duration_seconds: Some(900),
                }],
                vec!["default"],
            ),
        ] {
            let found = decide(&config, "default").unwrap().unwrap();
            let through = through.into_iter().map(str::to_owned).collect();
            assert_eq!(found, ProfilePlan { base, roles, through }, "{config}");
        }
    }

    #[test]
    fn a_profile_without_credential_asks_for_none() {
        assert_eq!(decide("[default]\nregion=eu-west-1\n", "default").unwrap(), None);
        assert_eq!(decide("[default]\nsource_profile=a\nregion=x\n", "default").unwrap(), None);
    }

    #[test]
    fn profiles_that_cannot_work_say_why() {
        for (config, message, hint) in [
            ("", "the AWS profile `p` does not exist", Some("add the profile; the files that were read hold none")),
            ("[profile q]\na=1", "the AWS profile `p` does not exist", Some("name one of: q")),
            (
                "[profile p]\nrole_arn=r\nsource_profile=q",
                "the AWS profile `q`, which the profile `p` names as its source, does not exist",
                Some("name one of: p"),
            ),
            (
                "\n[profile p]\nrole_arn=r\nsource_profile=p",
                "the AWS profile `p` (`config:2`) cannot be used: `source_profile` goes in a circle: `p` → `p`",
                Some("let the last profile hold keys, a `credential_source` or a `credential_process`"),
            ),
            (
                "[profile p]\nrole_arn=r\nsource_profile=q\n[profile q]\nrole_arn=s\nsource_profile=p",
                "the AWS profile `q` (`config:4`) cannot be used: `source_profile` goes in a circle: `p` → `q` → `p`",
                Some("let the last profile hold keys, a `credential_source` or a `credential_process`"),
            ),
            (
                "[profile p]\nrole_arn=r",
                "the AWS profile `p` (`config:1`) cannot be used: it has a `role_arn` and nothing to assume it with",
                Some("add `source_profile`, `credential_source` or keys to the profile"),
            ),
            (
                "[profile p]\nrole_arn=r\nsource_profile=q\n[profile q]\nregion=x",
                "the AWS profile `q` (`config:4`) cannot be used: it holds no credential",
                Some("add `source_profile`, `credential_source` or keys to the profile"),
            ),
            (
                "[profile p]\nrole_arn=r\nsource_profile=q\ncredential_source=Environment",
                "the AWS profile `p` (`config:1`) cannot be used: it has both `source_profile` and `credential_source`",
                Some("keep one of the two"),
            ),
            (
                "[profile p]\nrole_arn=r\ncredential_source=environment",
                "the AWS profile `p` (`config:1`) cannot be used: its `credential_source` is none that there is",
                Some("write `Environment`, `Ec2InstanceMetadata` or `EcsContainer`"),
            ),
            (
                "[profile p]\ncredential_source=Environment",
                "the AWS profile `p` (`config:1`) cannot be used: it has a `credential_source` and no `role_arn`",
                Some("add the `role_arn` that is to be assumed"),
            ),
            (
                "[profile p]\nweb_identity_token_file=/t",
                "the AWS profile `p` (`config:1`) cannot be used: it has a `web_identity_token_file` and no `role_arn`",
                Some("add the `role_arn` that takes the token"),
            ),
            (
                "[profile p]\naws_access_key_id=A",
                "the AWS profile `p` (`config:1`) cannot be used: it has an `aws_access_key_id` and no `aws_secret_access_key`",
                None,
            ),
            (
                "[profile p]\nrole_arn=r\nsource_profile=q\n[profile q]\naws_access_key_id=sekreté\naws_secret_access_key=S",
                "the AWS profile `q` (`config:4`) cannot be used: its `aws_access_key_id` holds a character that no key has",
                None,
            ),
            (
                "[profile p]\naws_secret_access_key=sekret",
                "the AWS profile `p` (`config:1`) cannot be used: it has an `aws_secret_access_key` and no `aws_access_key_id`",
                None,
            ),
            (
                "[profile p]\nrole_arn=r\ncredential_source=Environment\nduration_seconds=60",
                "the AWS profile `p` (`config:1`) cannot be used: its `duration_seconds` is no number from 900 to 43200",
                None,
            ),
            (
                "[profile p]\nrole_arn=r\nsource_profile=q\nmfa_serial=m\n[profile q]\naws_access_key_id=A\naws_secret_access_key=S",
                "the AWS profile `p` (`config:1`) cannot be used: it wants a code from an MFA device (`mfa_serial`), which nobody can type here",
                Some("use a role without MFA for pipelines, or pass the keys of a session that has passed MFA"),
            ),
        ] {
            let error = decide(config, "p").unwrap_err();
            assert_eq!(
                (error.code(), error.message(), error.hint_text()),
                (Code::ConfigMalformed, message, hint),
                "{config}"
            );
            assert!(!error.to_string().contains("sekret"));
        }
    }

    #[test]
    fn single_sign_on_says_what_to_run() {
        for config in [
            "[profile p]\nsso_session=s\nsso_account_id=1\nsso_role_name=r\n[sso-session s]\nsso_region=x\n",
            "[profile p]\nsso_start_url=u\nsso_account_id=1\nsso_role_name=r\nsso_region=x\n",
            "[profile q]\nregion=x\n[profile p]\nrole_arn=r\nsource_profile=s\n[profile s]\nsso_start_url=u\n",
        ] {
            let error = decide(config, "p").unwrap_err();
            assert_eq!(error.code(), Code::CredentialMissing);
            let hint = error.hint_text().unwrap();
            assert!(hint.contains("aws sso login --profile") && hint.contains("--format process"), "{hint}");
        }
        let error = decide("[profile p]\nsso_session=s\n", "p").unwrap_err();
        assert!(error.message().ends_with("it names the SSO session `s`, which no file has"), "{error}");
    }
}
