//! Given what a registry answered, which credential goes where next.
//!
//! A registry may name any address as the realm of its tokens, and the credential goes there, so the
//! realm is looked at before anything is sent. Names are not resolved for this; the text decides.
//! Sending, repeating and keeping tokens is left to the exchange.
//!
//! Rules: the token authentication and OAuth 2 documentation of the distribution project.

use crate::error::{Code, Error};
use crate::pure::auth::credential::pair;
use crate::pure::auth::{AuthScheme, Challenge, Credential, Scope, ScopeSet};
use crate::pure::http::message::{Method, Request};
use crate::pure::http::url::Scheme;
use crate::pure::http::{Place, Repeat, Response, Url, place};
use crate::pure::image::Registry;
use crate::pure::text::percent;
use crate::secret::Secret;

/// The name this program gives to token servers.
const CLIENT: &str = "tagwright";

/// What answers a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The value of the `Authorization` header for the request itself.
    Header(Secret),
    /// A token has to be fetched first.
    Token(TokenRequest),
}

/// A token to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// Whom to ask.
    pub realm: Url,
    /// Whom the token is for.
    pub service: Option<String>,
    /// What it must allow, the demanded one first; texts, because a registry may demand what is not known here.
    pub scopes: Vec<String>,
    /// On what grounds; without a credential everybody may have it.
    pub credential: Credential,
}

/// The challenge of a registry that is known without asking, which saves the request that would be refused.
pub fn known(registry: &Registry) -> Option<Challenge> {
    registry.is_docker_hub().then(|| Challenge {
        realm: Some("https://auth.docker.io/token".to_owned()),
        service: Some("registry.docker.io".to_owned()),
        ..Challenge::new(AuthScheme::Bearer)
    })
}

/// The challenge of a registry that takes a password with every request.
pub fn basic() -> Challenge {
    Challenge::new(AuthScheme::Basic)
}

/// Decides how a challenge is answered: a token where one can be fetched, else user name and password.
///
/// # Errors
/// `realm-refused` for a realm that a credential must not go to, `credential-missing` where the
/// registry wants a credential of a kind that there is not, `unauthenticated` where it names no
/// challenge that is spoken here.
pub fn answer(
    registry: &Url,
    challenges: &[Challenge],
    wanted: &ScopeSet,
    credential: &Credential,
) -> Result<Authorization, Error> {
    let host = registry.authority();
    if let Some(bearer) = challenges.iter().find(|c| is_usable_bearer(c)) {
        if let Credential::RegistryToken(token) = credential {
            return Ok(Authorization::Header(Secret::new(format!("Bearer {}", token.reveal()))));
        }
        let realm = realm(registry, bearer.realm.as_deref().unwrap_or_default())?;
        let scopes = scopes(bearer.scope.as_deref(), wanted);
        let service = bearer.service.clone().filter(|service| !service.is_empty());
        return Ok(Authorization::Token(TokenRequest { realm, service, scopes, credential: credential.clone() }));
    }
    if challenges.iter().any(|c| c.scheme == AuthScheme::Basic) {
        let lacking = || match credential {
            Credential::Anonymous => "a credential and none was found".to_owned(),
            _ => format!("a user name and a password, and what was found is {}", credential.kind()),
        };
        return credential.basic_header().map(Authorization::Header).ok_or_else(|| {
            Error::new(Code::CredentialMissing, format!("`{host}` asked for {}", lacking()))
                .hint("set `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`")
        });
    }
    let refused = format!("`{host}` refused the request and named no way to log in that tagwright knows");
    let error = Error::new(Code::Unauthenticated, refused)
        .hint("ask whoever runs the registry to offer Basic, or Bearer with a realm");
    Err(match challenges.iter().map(|c| c.scheme.to_string()).collect::<Vec<_>>() {
        none if none.is_empty() => error.cause("the answer was 401 without a `WWW-Authenticate` challenge"),
        named if challenges.iter().any(|c| c.scheme == AuthScheme::Bearer) => {
            error.cause(format!("it asked for {}, and the challenge names no realm", named.join(", ")))
        }
        named => error.cause(format!("it asked for {}", named.join(", "))),
    })
}

fn is_usable_bearer(challenge: &Challenge) -> bool {
    challenge.scheme == AuthScheme::Bearer && challenge.realm.as_deref().is_some_and(|realm| !realm.trim().is_empty())
}

/// Reads the realm and refuses one that a credential must not be sent to.
fn realm(registry: &Url, text: &str) -> Result<Url, Error> {
    let host = registry.authority();
    let refused = |named: &str, why: &str| {
        Error::new(Code::RealmRefused, format!("`{host}` sends callers to {named} for tokens, and {why}"))
            .hint("check that the registry's name is right, and that nobody answers in its place")
    };
    let url = Url::parse(text.trim()).map_err(|error| {
        refused("an address that cannot be used", "no credential goes there").cause(error.message())
    })?;
    let named = format!("`{}`", url.origin());
    if url.scheme() == Scheme::Http && registry.scheme() == Scheme::Https {
        return Err(refused(&named, "that is plain HTTP while the registry itself is spoken to over TLS"));
    }
    let at_home = matches!(place(registry.host()), Place::Private | Place::Loopback);
    match place(url.host()) {
        Place::Odd => Err(refused(&named, "that is a number which some resolvers read as an address")),
        Place::LinkLocal => Err(refused(&named, "that is a link-local address, where metadata services live")),
        Place::Loopback if !at_home => Err(refused(&named, "that is a loopback address while the registry is not")),
        Place::Private if !at_home => Err(refused(&named, "that is a private address while the registry is not")),
        _ => Ok(url),
    }
}

/// The demanded scopes first, joined with what is wanted: some servers look at the first one only.
fn scopes(demanded: Option<&str>, wanted: &ScopeSet) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    let mut push = |text: String| {
        if !scopes.contains(&text) {
            scopes.push(text);
        }
    };
    let mut joined: Vec<&str> = Vec::new();
    for text in demanded.unwrap_or_default().split_ascii_whitespace() {
        let known = Scope::parse(text);
        let same = known.as_ref().and_then(|k| wanted.iter().find(|scope| scope.repository == k.repository));
        match (known, same) {
            (Some(mut scope), Some(same)) => {
                scope.add(&same.actions);
                joined.push(&same.repository);
                push(scope.to_string());
            }
            _ => push(text.to_owned()),
        }
    }
    for scope in wanted.iter().filter(|scope| !scope.actions.is_empty() && !joined.contains(&scope.repository.as_str()))
    {
        push(scope.to_string());
    }
    scopes
}

impl TokenRequest {
    /// The request to send first.
    ///
    /// A password goes as Basic with `GET`, which every token server understands; an identity token
    /// can only go in a form.
    pub fn request(&self) -> Request {
        match &self.credential {
            Credential::Password { username, password } => self.get(Some((username, password))),
            Credential::IdentityToken { token, .. } => {
                self.post(&[("grant_type", "refresh_token"), ("refresh_token", token.reveal())])
            }
            Credential::Anonymous | Credential::RegistryToken(_) => self.get(None),
        }
    }

    /// The other form of the request, where the server answered the first one with 404 or 405 and there is another.
    ///
    /// Meant to be called once, with the answer to [`TokenRequest::request`].
    pub fn fallback(&self, response: &Response) -> Option<Request> {
        match &self.credential {
            _ if !matches!(response.status, 404 | 405) => None,
            Credential::Password { username, password } => {
                Some(self.post(&[("grant_type", "password"), ("username", username), ("password", password.reveal())]))
            }
            Credential::IdentityToken { username, password, .. } => {
                Some(self.get(Some((username.as_ref()?, password.as_ref()?))))
            }
            Credential::Anonymous | Credential::RegistryToken(_) => None,
        }
    }

    fn get(&self, account: Option<(&String, &Secret)>) -> Request {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        pairs.extend(self.service.as_deref().map(|service| ("service", service)));
        pairs.extend(self.scopes.iter().map(|scope| ("scope", scope.as_str())));
        pairs.extend(account.map(|(username, _)| ("account", username.as_str())));
        pairs.push(("client_id", CLIENT));
        let mut query = self.realm.query().map(str::to_owned).unwrap_or_default();
        if !query.is_empty() && !query.ends_with('&') {
            query.push('&');
        }
        query.push_str(&form(&pairs));
        let request =
            Request::new(Method::Get, self.realm.clone().with_query(query)).header("Accept", "application/json");
        match account {
            Some((username, password)) => {
                request.header("Authorization", format!("Basic {}", pair(username, password).reveal()))
            }
            None => request,
        }
    }

    fn post(&self, grant: &[(&str, &str)]) -> Request {
        let scope = self.scopes.join(" ");
        let mut pairs = grant.to_vec();
        pairs.extend(self.service.as_deref().map(|service| ("service", service)));
        pairs.push(("client_id", CLIENT));
        if !scope.is_empty() {
            pairs.push(("scope", &scope));
        }
        Request::new(Method::Post, self.realm.clone())
            .repeated(Repeat::Freely)
            .header("Accept", "application/json")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form(&pairs).into_bytes())
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", percent::encode(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::auth::challenge;
    use crate::pure::http::message::Headers;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn password() -> Credential {
        Credential::Password { username: "ada".to_owned(), password: Secret::new("p&ss wörd") }
    }

    fn identity() -> Credential {
        Credential::IdentityToken { username: None, token: Secret::new("id+tok/en="), password: None }
    }

    fn pull() -> ScopeSet {
        [Scope::pull("acme/app")].into_iter().collect()
    }

    fn ask(registry: &str, header: &str, wanted: &ScopeSet, credential: &Credential) -> Result<Authorization, Error> {
        answer(&url(registry), &challenge::parse(&[header]), wanted, credential)
    }

    fn token(registry: &str, header: &str, wanted: &ScopeSet, credential: &Credential) -> TokenRequest {
        match ask(registry, header, wanted, credential) {
            Ok(Authorization::Token(request)) => request,
            other => panic!("{header}: {other:?}"),
        }
    }

    /// Writes a request in one line: method, address, authorization, body.
    fn show(request: &Request) -> String {
        let body = request.body.as_deref().map(|body| String::from_utf8_lossy(body).into_owned());
        let authorization = request.headers.get("Authorization").unwrap_or("-");
        format!("{} {} {authorization} {}", request.method.as_str(), request.url, body.unwrap_or("-".to_owned()))
    }

    fn status(status: u16, body: &str) -> Response {
        let from = Url::parse("https://r.example/v2/").unwrap();
        Response { from, status, headers: Headers::new(), body: body.as_bytes().to_vec(), secrets: Default::default() }
    }

    const BEARER: &str =
        r#"Bearer realm="https://auth.example/token",service="reg.example",scope="repository:acme/app:pull""#;

    #[test]
    fn each_credential_is_shown_in_its_own_way() {
        let both = format!(r#"Basic realm="x", {BEARER}"#);
        for (header, credential, expected) in [
            (
                BEARER,
                Credential::Anonymous,
                "GET https://auth.example/token?service=reg.example&scope=repository%3Aacme%2Fapp%3Apull&client_id=tagwright - -",
            ),
            (
                &both,
                password(),
                "GET https://auth.example/token?service=reg.example&scope=repository%3Aacme%2Fapp%3Apull&account=ada&client_id=tagwright Basic YWRhOnAmc3Mgd8O2cmQ= -",
            ),
            (
                BEARER,
                identity(),
                "POST https://auth.example/token - grant_type=refresh_token&refresh_token=id%2Btok%2Fen%3D&service=reg.example&client_id=tagwright&scope=repository%3Aacme%2Fapp%3Apull",
            ),
        ] {
            assert_eq!(show(&token("https://reg.example/v2/", header, &pull(), &credential).request()), expected);
        }
        for (header, credential, expected) in [
            (r#"Basic realm="x""#, password(), "Basic YWRhOnAmc3Mgd8O2cmQ="),
            (r#"Bearer service="no realm", Basic realm="x""#, password(), "Basic YWRhOnAmc3Mgd8O2cmQ="),
            (
                r#"Negotiate, BASIC realm="https://e/",service="ecr.amazonaws.com""#,
                password(),
                "Basic YWRhOnAmc3Mgd8O2cmQ=",
            ),
            (BEARER, Credential::RegistryToken(Secret::new("tok")), "Bearer tok"),
        ] {
            let answer = ask("https://reg.example/", header, &pull(), &credential).unwrap();
            assert_eq!(answer, Authorization::Header(Secret::new(expected)), "{header}");
        }
    }

    #[test]
    fn what_cannot_be_answered_is_said() {
        let registry_token = Credential::RegistryToken(Secret::new("hunter2"));
        for (header, credential, code) in [
            (r#"Basic realm="x""#, Credential::Anonymous, Code::CredentialMissing),
            (r#"Basic realm="x""#, identity(), Code::CredentialMissing),
            (r#"Basic realm="x""#, registry_token, Code::CredentialMissing),
            ("", password(), Code::Unauthenticated),
            ("Negotiate", password(), Code::Unauthenticated),
            ("Bearer", password(), Code::Unauthenticated),
            (r#"Bearer realm="""#, password(), Code::Unauthenticated),
            (r#"Bearer realm="/token""#, password(), Code::RealmRefused),
            (r#"Bearer realm="ftp://a/""#, password(), Code::RealmRefused),
            (r#"Bearer realm="https://u:hunter2@a/", Basic realm="x""#, password(), Code::RealmRefused),
        ] {
            let error = ask("https://reg.example/", header, &pull(), &credential).unwrap_err();
            assert_eq!(error.code(), code, "{header}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error}");
        }
        for (credential, message) in [
            (Credential::Anonymous, "`reg.example` asked for a credential and none was found"),
            (identity(), "`reg.example` asked for a user name and a password, and what was found is an identity token"),
        ] {
            let error = ask("https://reg.example/", r#"Basic realm="x""#, &pull(), &credential).unwrap_err();
            assert_eq!(error.message(), message);
        }
        for (header, cause) in [
            ("", "the answer was 401 without a `WWW-Authenticate` challenge"),
            ("Negotiate", "it asked for Negotiate"),
            ("Bearer", "it asked for Bearer, and the challenge names no realm"),
            ("Negotiate, Bearer", "it asked for Negotiate, Bearer, and the challenge names no realm"),
        ] {
            let error = ask("https://reg.example/", header, &pull(), &password()).unwrap_err();
            assert_eq!(error.causes(), [cause], "{header}");
        }
    }

    #[test]
    fn a_realm_is_no_way_into_a_private_network() {
        for (registry, realm, fits) in [
            ("https://reg.example/", "https://auth.other.example/token", true),
            ("https://reg.example/", "http://reg.example/token", false),
            ("http://reg.example/", "http://reg.example/token", true),
            ("http://reg.example/", "https://auth.example/token", true),
            ("https://reg.example/", "https://localhost/token", false),
            ("https://reg.example/", "https://localhost./token", false),
            ("https://reg.example/", "https://127.0.0.1:5001/token", false),
            ("https://reg.example/", "https://[::1]/token", false),
            ("https://reg.example/", "https://[::ffff:10.0.0.1]/token", false),
            ("https://reg.example/", "https://10.0.0.7/token", false),
            ("https://reg.example/", "https://192.168.1.1/token", false),
            ("https://reg.example/", "https://127.1/token", false),
            ("https://reg.example/", "https://2130706433/token", false),
            ("https://reg.example/", "https://0x7f000001/token", false),
            ("https://reg.example/", "https://169.254.169.254/latest", false),
            ("https://8.8.8.8/", "https://10.0.0.7/token", false),
            ("https://8.8.8.8/", "https://9.9.9.9/token", true),
            ("http://localhost:5000/", "http://127.0.0.1:5001/token", true),
            ("http://localhost:5000/", "http://10.0.0.7/token", true),
            ("http://127.0.0.1:5000/", "https://auth.example/token", true),
            ("https://10.0.0.8/", "https://10.0.0.7/token", true),
            ("https://10.0.0.8/", "http://10.0.0.7/token", false),
            ("http://localhost:5000/", "http://169.254.169.254/token", false),
            ("https://10.0.0.8/", "https://[fe80::1]/token", false),
            ("https://10.0.0.8/", "https://[fd00:ec2::23]/token", false),
        ] {
            for credential in [Credential::Anonymous, password()] {
                let answer = ask(registry, &format!(r#"Bearer realm="{realm}""#), &pull(), &credential);
                match answer {
                    Ok(_) => assert!(fits, "{registry} {realm}"),
                    Err(error) => assert!(!fits && error.code() == Code::RealmRefused, "{registry} {realm}: {error}"),
                }
            }
        }
    }

    #[test]
    fn the_demanded_scope_goes_first_and_holds_what_is_wanted() {
        let mount: ScopeSet = [Scope::push("into"), Scope::pull("from")].into_iter().collect();
        for (demanded, wanted, expected) in [
            ("", &pull(), "repository:acme/app:pull"),
            (
                "repository:acme/app:pull",
                &[Scope::push("acme/app")].into_iter().collect(),
                "repository:acme/app:pull,push",
            ),
            ("repository:acme/app:push,pull", &pull(), "repository:acme/app:pull,push"),
            ("repository:from:pull", &mount, "repository:from:pull repository:into:pull,push"),
            ("aws", &pull(), "aws repository:acme/app:pull"),
            ("repository:acme/app:*", &pull(), "repository:acme/app:* repository:acme/app:pull"),
            (
                "registry:catalog:* repository:other:pull",
                &pull(),
                "registry:catalog:* repository:other:pull repository:acme/app:pull",
            ),
            ("aws aws", &ScopeSet::new(), "aws"),
            ("", &ScopeSet::new(), ""),
        ] {
            let header = format!(r#"Bearer realm="https://auth.example/t",scope="{demanded}""#);
            let request = token("https://reg.example/", &header, wanted, &Credential::Anonymous);
            assert_eq!(request.scopes.join(" "), expected, "{demanded}");
        }
    }

    #[test]
    fn addresses_and_forms_are_built_from_what_there_is() {
        let none = ScopeSet::new();
        for (header, wanted, credential, expected) in [
            (r#"Bearer realm="https://a/t""#, &none, Credential::Anonymous, "GET https://a/t?client_id=tagwright - -"),
            (
                r#"Bearer realm="https://a/t?x=1",service="a b""#,
                &none,
                Credential::Anonymous,
                "GET https://a/t?x=1&service=a%20b&client_id=tagwright - -",
            ),
            (
                r#"Bearer realm="https://a/t?x=1",service="""#,
                &none,
                identity(),
                "POST https://a/t?x=1 - grant_type=refresh_token&refresh_token=id%2Btok%2Fen%3D&client_id=tagwright",
            ),
        ] {
            assert_eq!(show(&token("https://reg.example/", header, wanted, &credential).request()), expected);
        }
    }

    #[test]
    fn only_a_password_has_a_second_form() {
        let request = token("https://reg.example/", BEARER, &pull(), &password());
        for wanted in [404, 405] {
            let second = request.fallback(&status(wanted, "")).unwrap();
            assert_eq!(
                show(&second),
                "POST https://auth.example/token - grant_type=password&username=ada&password=p%26ss%20w%C3%B6rd&service=reg.example&client_id=tagwright&scope=repository%3Aacme%2Fapp%3Apull"
            );
        }
        for other in [200, 400, 401, 403, 429, 500] {
            assert_eq!(request.fallback(&status(other, "")).map(|r| show(&r)), None);
        }
        for credential in [Credential::Anonymous, identity()] {
            let request = token("https://reg.example/", BEARER, &pull(), &credential);
            assert_eq!(request.fallback(&status(404, "")).map(|r| show(&r)), None);
        }
    }

    #[test]
    fn a_server_without_post_gets_the_password_that_stands_beside_an_identity_token() {
        let (username, password) = (Some("ada".to_owned()), Some(Secret::new("pass")));
        let credential = Credential::IdentityToken { username, token: Secret::new("id tok"), password };
        let request = token("https://reg.example/", BEARER, &pull(), &credential);
        assert!(show(&request.request()).contains("refresh_token=id%20tok"));
        let expected = "GET https://auth.example/token?service=reg.example&scope=repository%3Aacme%2Fapp%3Apull&account=ada&client_id=tagwright Basic YWRhOnBhc3M= -";
        for wanted in [404, 405] {
            assert_eq!(show(&request.fallback(&status(wanted, "")).unwrap()), expected);
        }
        assert!(request.fallback(&status(401, "")).is_none());
    }

    #[test]
    fn docker_hub_is_known_without_asking() {
        let challenge = known(&Registry::docker_hub()).unwrap();
        let answer = answer(&url("https://registry-1.docker.io/"), &[challenge], &pull(), &Credential::Anonymous);
        let Ok(Authorization::Token(request)) = answer else { panic!("{answer:?}") };
        assert_eq!(
            show(&request.request()),
            "GET https://auth.docker.io/token?service=registry.docker.io&scope=repository%3Aacme%2Fapp%3Apull&client_id=tagwright - -"
        );
        assert_eq!(known(&Registry::parse("reg.example").unwrap()), None);
    }
}
