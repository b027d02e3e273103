//! A token server as registries name it in their challenge: GET with Basic, OAuth2 POST, signed tokens.
//!
//! The tokens are JSON Web Tokens signed with ES256 whose header carries the certificate, so that a real registry
//! that trusts this certificate accepts them.
//!
//! Follows the distribution project's documents on token authentication.

use super::http::Listener;
use super::log::{Asked, Log};
use super::reply::Reply;
use super::text::{base64, base64_url, form, hex};
use rcgen::{CertificateParams, DnType, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The service name that challenges carry.
pub const SERVICE: &str = "tagwright tests";
/// Who signs.
pub const ISSUER: &str = "tagwright token server";

/// What somebody may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Read.
    pub pull: bool,
    /// Write.
    pub push: bool,
}

impl Rights {
    /// Nothing.
    pub const NONE: Rights = Rights { pull: false, push: false };
    /// Reading.
    pub const PULL: Rights = Rights { pull: true, push: false };
    /// Reading and writing.
    pub const PUSH: Rights = Rights { pull: true, push: true };

    fn allow(self, action: &str) -> bool {
        match action {
            // Azure names the right to list tags by itself.
            "pull" | "metadata_read" => self.pull,
            "push" => self.push,
            _ => false,
        }
    }
}

/// Who may log in, and how the server behaves.
#[derive(Clone)]
pub struct Rules {
    /// Passwords and rights by user name.
    pub users: HashMap<String, (String, Rights)>,
    /// Identity tokens, each of a user.
    pub identity_tokens: HashMap<String, String>,
    /// What those may do who do not log in; a refusal where that is nothing.
    pub anonymous: Rights,
    /// How long a token lasts; not in the answer where it is `None`.
    pub expires_in: Option<u64>,
    /// Whether OAuth2 POST is known here; else it is 404.
    pub post: bool,
    /// The key that holds the token in the answer.
    pub key: String,
    /// The path of the realm.
    pub path: &'static str,
    /// The service that has to be named; `None` where none may be.
    pub service: Option<&'static str>,
    /// Whether the registry takes a password as well.
    pub basic: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            users: HashMap::new(),
            identity_tokens: HashMap::new(),
            anonymous: Rights::NONE,
            expires_in: Some(300),
            post: true,
            key: "token".to_owned(),
            path: "/token",
            service: Some(SERVICE),
            basic: false,
        }
    }
}

impl Rules {
    /// With one more user.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str, rights: Rights) -> Self {
        self.users.insert(name.to_owned(), (password.to_owned(), rights));
        self
    }

    /// With rights for everybody.
    #[must_use]
    pub fn anonymous(mut self, rights: Rights) -> Self {
        self.anonymous = rights;
        self
    }

    /// Whether this is the name and the password of somebody who may do everything.
    pub fn knows(&self, (user, password): &(String, String)) -> bool {
        self.users.get(user).is_some_and(|(known, rights)| known == password && *rights == Rights::PUSH)
    }

    /// With an identity token of a user.
    #[must_use]
    pub fn identity_token(mut self, token: &str, user: &str) -> Self {
        self.identity_tokens.insert(token.to_owned(), user.to_owned());
        self
    }
}

/// Repositories with the actions granted there.
pub type Access = Vec<(String, Vec<String>)>;

type Hook = Box<dyn Fn(&Asked) -> Option<Reply> + Send + Sync>;

/// A running token server.
pub struct TokenServer {
    listener: Listener,
    desk: Arc<Desk>,
    folder: tempfile::TempDir,
}

/// The part that outlives the listener's start: keys, rules and what was issued.
pub struct Desk {
    rules: Mutex<Rules>,
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
    issued: Mutex<HashMap<String, Access>>,
    hooks: Mutex<Vec<Hook>>,
    serial: AtomicUsize,
}

impl TokenServer {
    /// A server with these rules.
    pub fn start(rules: Rules) -> Self {
        Self::start_with(rules, None)
    }

    /// The same in TLS, where a configuration is given.
    pub fn start_with(rules: Rules, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "tagwright test token signer");
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("signer.pem"), certificate.pem()).unwrap();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der(), &random).unwrap();
        let desk = Arc::new(Desk {
            rules: Mutex::new(rules),
            key,
            certificate: certificate.der().to_vec(),
            issued: Mutex::default(),
            hooks: Mutex::default(),
            serial: AtomicUsize::new(0),
        });
        let listener = Listener::start_with(tls, {
            let desk = desk.clone();
            move |asked| desk.answer(asked)
        });
        Self { listener, desk, folder }
    }

    /// The address for `realm`.
    pub fn realm(&self) -> String {
        format!("{}{}", self.listener.url(), self.desk.rules.lock().unwrap().path)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.listener.host()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// The certificate that a registry has to trust.
    pub fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("signer.pem")
    }

    /// What was asked so far.
    pub fn log(&self) -> Log {
        self.listener.log()
    }

    /// Forgets what was asked so far.
    pub fn clear(&self) {
        self.listener.clear();
    }

    /// Holds every answer back for so long.
    pub fn latency(&self, latency: Duration) {
        self.listener.latency(latency);
    }

    /// Keys and rules, shared with the registry that checks the tokens.
    pub fn desk(&self) -> Arc<Desk> {
        self.desk.clone()
    }

    /// Answers from here first, where the function has an answer.
    pub fn hook(&self, hook: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) {
        self.desk.hooks.lock().unwrap().insert(0, Box::new(hook));
    }
}

impl Desk {
    /// Changes the rules.
    pub fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().unwrap());
    }

    /// Forgets every token, as if all had run out.
    pub fn revoke(&self) {
        self.issued.lock().unwrap().clear();
    }

    /// What a token grants; `None` where it was never issued here.
    pub fn granted(&self, token: &str) -> Option<Access> {
        self.issued.lock().unwrap().get(token).cloned()
    }

    /// A token of somebody who may do everything in a repository, without asking.
    pub fn pass(&self, repository: &str) -> String {
        self.mint("pusher", &[(repository.to_owned(), vec!["pull".to_owned(), "push".to_owned()])])
    }

    /// Signs a token for these repositories and actions.
    pub fn mint(&self, subject: &str, access: &[(String, Vec<String>)]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let lasts = self.rules.lock().unwrap().expires_in.unwrap_or(60);
        let list: Vec<Value> = access
            .iter()
            .map(|(name, actions)| json!({"type": "repository", "name": name, "actions": actions}))
            .collect();
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [base64(&self.certificate)]});
        let claims = json!({
            "iss": ISSUER, "sub": subject, "aud": SERVICE, "access": list,
            "iat": now - 5, "nbf": now - 5, "exp": now + lasts, "jti": format!("token-{serial}"),
        });
        let signed =
            format!("{}.{}", base64_url(header.to_string().as_bytes()), base64_url(claims.to_string().as_bytes()));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", base64_url(signature.as_ref()));
        self.issued.lock().unwrap().insert(token.clone(), access.to_vec());
        token
    }

    fn answer(&self, asked: &Asked) -> Reply {
        if let Some(reply) = self.hooks.lock().unwrap().iter().find_map(|hook| hook(asked)) {
            return reply;
        }
        let rules = self.rules.lock().unwrap().clone();
        let fields = if asked.method == "POST" {
            if !rules.post {
                return Reply::status(404);
            }
            form(&String::from_utf8_lossy(&asked.body))
        } else {
            asked.query.clone()
        };
        let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if asked.path != rules.path || field("service") != rules.service {
            return Reply::with(400, "application/json", r#"{"details":"no such service"}"#);
        }
        let login = match (asked.method.as_str(), field("grant_type")) {
            ("POST", Some("refresh_token")) => {
                match rules.identity_tokens.get(field("refresh_token").unwrap_or_default()) {
                    Some(user) => Some((
                        user.clone(),
                        rules.users.get(user).map(|(password, _)| password.clone()).unwrap_or_default(),
                    )),
                    None => return refused(),
                }
            }
            ("POST", Some("password")) => match (field("username"), field("password")) {
                (Some(user), Some(password)) => Some((user.to_owned(), password.to_owned())),
                _ => return refused(),
            },
            ("POST", _) => return Reply::with(400, "application/json", r#"{"error":"unsupported_grant_type"}"#),
            _ if asked.header("Authorization").is_some() => match asked.basic() {
                Some(login) => Some(login),
                None => return refused(),
            },
            _ => None,
        };
        let (subject, rights) = match login {
            None if rules.anonymous == Rights::NONE => return refused(),
            None => (String::new(), rules.anonymous),
            Some((user, password)) => match rules.users.get(&user) {
                Some((known, rights)) if *known == password => (user, *rights),
                _ => return refused(),
            },
        };
        let mut access = Vec::new();
        for scopes in fields.iter().filter(|(name, _)| name == "scope").map(|(_, value)| value) {
            for scope in scopes.split(' ') {
                // Rights that are not there are left out in silence, as the specification has it.
                if let Some((name, actions)) = scope.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':'))
                {
                    let granted = actions.split(',').filter(|action| rights.allow(action)).map(str::to_owned).collect();
                    access.push((name.to_owned(), granted));
                }
            }
        }
        let token = self.mint(&subject, &access);
        let mut body = json!({ rules.key.as_str(): token });
        if let Some(seconds) = rules.expires_in {
            body["expires_in"] = json!(seconds);
        }
        Reply::json(&body)
    }
}

fn refused() -> Reply {
    Reply::with(401, "application/json", r#"{"details":"incorrect username or password"}"#)
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    let mut bytes = [0; 8];
    ring::rand::SecureRandom::fill(&SystemRandom::new(), &mut bytes).unwrap();
    format!("{prefix}-{}", hex(&bytes))
}
