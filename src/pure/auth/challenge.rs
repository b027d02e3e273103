//! Reads the `WWW-Authenticate` header that a registry sends with a 401.
//!
//! One header may carry several challenges, and the comma between challenges is the same comma that
//! separates parameters, so this scans instead of splitting. Which challenge to answer is decided
//! in [`crate::pure::auth::flow`].
//!
//! Grammar: RFC 9110, section 11.6.1.

use crate::pure::http::quoted_string;
use std::fmt;

/// How a challenge wants to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// With user name and password.
    Basic,
    /// With a token from the realm.
    Bearer,
    /// With something that is not spoken here.
    Other(String),
}

impl AuthScheme {
    fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "basic" => AuthScheme::Basic,
            "bearer" => AuthScheme::Bearer,
            _ => AuthScheme::Other(text.to_owned()),
        }
    }
}

impl fmt::Display for AuthScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthScheme::Basic => "Basic",
            AuthScheme::Bearer => "Bearer",
            AuthScheme::Other(name) => name,
        })
    }
}

/// One challenge with the parameters that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How it wants to be answered.
    pub scheme: AuthScheme,
    /// For `Bearer` the address of the token server, for `Basic` a name for people.
    pub realm: Option<String>,
    /// Whom the token is for.
    pub service: Option<String>,
    /// What the token must allow, scopes separated by spaces.
    pub scope: Option<String>,
    /// What was wrong with the token that was sent, such as `invalid_token` or `insufficient_scope`.
    pub error: Option<String>,
}

impl Challenge {
    pub(super) fn new(scheme: AuthScheme) -> Self {
        Self { scheme, realm: None, service: None, scope: None, error: None }
    }

    /// Takes a parameter; the first of several with one name counts, unknown ones are passed over.
    fn set(&mut self, name: &str, value: String) {
        let slot = match name.to_ascii_lowercase().as_str() {
            "realm" => &mut self.realm,
            "service" => &mut self.service,
            "scope" => &mut self.scope,
            "error" => &mut self.error,
            _ => return,
        };
        slot.get_or_insert(value);
    }
}

/// Reads every challenge from the values of all `WWW-Authenticate` fields, in order.
///
/// What cannot be read is passed over: a challenge that is broken is as good as none.
pub fn parse(values: &[&str]) -> Vec<Challenge> {
    values.iter().flat_map(|value| parse_one(value)).collect()
}

fn parse_one(value: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut scan = Scan { rest: value };
    loop {
        scan.skip(|c| c == ',' || is_space(c));
        if scan.rest.is_empty() {
            return challenges;
        }
        let word = scan.take(is_token);
        if word.is_empty() {
            // Nothing of the grammar starts here; the next comma is the next place where something may.
            scan.take(|c| c != ',');
            continue;
        }
        let spaced = scan.skip(is_space);
        if let Some(current) = challenges.last_mut()
            && scan.eat('=')
        {
            scan.skip(is_space);
            let value = scan.value();
            current.set(word, value);
            continue;
        }
        challenges.push(Challenge::new(AuthScheme::parse(word)));
        if spaced {
            scan.skip_token68();
        }
    }
}

struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn take(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, fits: impl Fn(char) -> bool) -> bool {
        !self.take(fits).is_empty()
    }

    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A quoted string without its quotes and backslashes, or a bare word up to space or comma.
    fn value(&mut self) -> String {
        if !self.eat('"') {
            // Addresses are sent bare by some, though `:` and `/` do not belong into a token.
            return self.take(|c| c != ',' && !is_space(c)).to_owned();
        }
        let (value, rest) = quoted_string(self.rest);
        self.rest = rest.unwrap_or_default();
        value
    }

    /// Skips the one blob that schemes such as `Negotiate` have in place of parameters.
    fn skip_token68(&mut self) {
        let before = self.rest;
        self.take(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        self.take(|c| c == '=');
        self.skip(is_space);
        if !(self.rest.is_empty() || self.rest.starts_with(',')) {
            self.rest = before;
        }
    }
}

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes challenges as `Scheme{realm|service|scope|error}`, a dash for what is not there.
    fn show(challenges: &[Challenge]) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let one = |c: &Challenge| {
            format!("{}{{{}|{}|{}|{}}}", c.scheme, text(&c.realm), text(&c.service), text(&c.scope), text(&c.error))
        };
        challenges.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn check_challenge(values: &[&str], expected: &str) {
        assert_eq!(show(&parse(values)), expected, "{values:?}");
    }

    #[test]
    fn challenges_of_known_registries_are_read() {
        for (value, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:samalba/my-app:pull,push""#,
                "Bearer{https://auth.docker.io/token|registry.docker.io|repository:samalba/my-app:pull,push|-}",
            ),
            (
                r#"Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#,
                "Basic{https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/|ecr.amazonaws.com|-|-}",
            ),
            (r#"Basic realm="Registry Realm""#, "Basic{Registry Realm|-|-|-}"),
            (
                r#"Bearer realm="https://r/t",service="s",scope="repository:a:pull",error="invalid_token""#,
                "Bearer{https://r/t|s|repository:a:pull|invalid_token}",
            ),
            (
                r#"Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws""#,
                "Bearer{https://public.ecr.aws/token/|public.ecr.aws|aws|-}",
            ),
        ] {
            check_challenge(&[value], expected);
        }
    }

    #[test]
    fn case_space_quotes_and_commas_do_not_matter_where_they_must_not() {
        for (value, expected) in [
            (r#"BEARER Realm="https://r/t", SERVICE="s""#, "Bearer{https://r/t|s|-|-}"),
            (r#"bearer realm=https://r/t?x=1,service=s"#, "Bearer{https://r/t?x=1|s|-|-}"),
            (r#"Bearer realm = "https://r/t" , service	=	s"#, "Bearer{https://r/t|s|-|-}"),
            (r#"Bearer realm="a\"b\\c,d",service="""#, "Bearer{a\"b\\c,d||-|-}"),
            (r#"Bearer ,,realm="r",,"#, "Bearer{r|-|-|-}"),
            (r#"Bearer realm="https://r/t""#, "Bearer{https://r/t|-|-|-}"),
            (r#"Bearer realm="first",realm="second""#, "Bearer{first|-|-|-}"),
            (r#"Bearer realm="r" service="s""#, "Bearer{r|s|-|-}"),
            ("Bearer", "Bearer{-|-|-|-}"),
            (r#"Bearer realm="Büro, hinten",service="s""#, "Bearer{Büro, hinten|s|-|-}"),
        ] {
            check_challenge(&[value], expected);
        }
    }

    #[test]
    fn one_header_may_carry_several_challenges() {
        for (values, expected) in [
            (
                &[r#"Basic realm="x, y", Bearer realm="https://r/t",service="s""#][..],
                "Basic{x, y|-|-|-} Bearer{https://r/t|s|-|-}",
            ),
            (&[r#"Bearer realm="https://r/t",Basic realm="b""#], "Bearer{https://r/t|-|-|-} Basic{b|-|-|-}"),
            (&[r#"Negotiate, Basic realm="b""#], "Negotiate{-|-|-|-} Basic{b|-|-|-}"),
            (&[r#"Negotiate YWJj/+==, Basic realm="b""#], "Negotiate{-|-|-|-} Basic{b|-|-|-}"),
            (
                &[r#"Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple""#],
                "Newauth{apps|-|-|-} Basic{simple|-|-|-}",
            ),
            (&[r#"Basic realm="b""#, r#"Bearer realm="https://r/t""#], "Basic{b|-|-|-} Bearer{https://r/t|-|-|-}"),
        ] {
            check_challenge(values, expected);
        }
    }

    #[test]
    fn bad_input_never_panics() {
        for (value, expected) in [
            ("", ""),
            (" , ,", ""),
            ("=", ""),
            ("\"", ""),
            ("Bearer realm=\"open", "Bearer{open|-|-|-}"),
            ("Bearer realm=\"open\\", "Bearer{open|-|-|-}"),
            ("Bearer realm=", "Bearer{-|-|-|-}"),
            ("Bearer realm=,service=s", "Bearer{-|s|-|-}"),
            ("é=ü, Basic realm=é", "Basic{é|-|-|-}"),
            ("realm=\"x\"", "realm{-|-|-|-}"),
        ] {
            check_challenge(&[value], expected);
        }
        let long = "a,".repeat(20_000);
        assert_eq!(parse(&[&long]).len(), 20_000);
        let signs = [" ", ",", "=", "\"", "\\", "Bearer", "realm", "é"];
        for mut n in 0..8_usize.pow(5) {
            let mut text = String::new();
            for _ in 0..5 {
                text.push_str(signs[n % 8]);
                n /= 8;
            }
            parse(&[&text]);
        }
    }
}
