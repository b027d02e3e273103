//! Who speaks to each registry of a command: the pair of variables that counts there, and the key and role at AWS.
//!
//! A text that names a registry may come from whoever starts a build or writes a file, so it never decides who gets a
//! credential. Where one command line names source and targets, each has its own pair; where several registries come
//! of a file or of a list, a pair counts for the registry that its own `…_HOST` names, and for no other.

use crate::aws::AwsSettings;
use crate::command::request::{Common, Request};
use crate::pure::auth::CredentialReach;
use crate::pure::aws::AwsIdentity;
use crate::pure::image::Registry;
use crate::registry::login::keychain;
use crate::world::World;

/// What the variables of a command's targets begin with.
const INTO: &str = "INTO_";

/// Who speaks to a registry.
#[derive(Clone, Debug)]
pub struct RegistryCaller {
    /// The registry.
    pub registry: Registry,
    /// What the variables of its pair begin with.
    pub pair: String,
    /// Whether there is such a pair.
    has_pair: bool,
    /// Which registries that pair is for.
    pub reach: CredentialReach,
    /// What the variables of its key at AWS begin with.
    pub key: String,
    /// As whom it comes at AWS.
    pub identity: AwsIdentity,
    /// What the flags about that begin with.
    pub flags: &'static str,
}

impl RegistryCaller {
    /// Whether both are the same caller of the same registry.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same_pair = self.has_pair == other.has_pair && (!self.has_pair || self.pair == other.pair);
        self.registry == other.registry && is_same_pair && self.key == other.key && self.identity == other.identity
    }
}

/// What decides about callers.
pub struct CallerRules<'r, 'w> {
    /// The environment.
    pub world: &'w World,
    /// The command.
    pub request: &'r Request,
    /// Its flags.
    pub common: &'r Common,
    /// Which registries are Amazon's.
    pub amazon: &'r AwsSettings,
    /// Whether standard input has the first pair.
    pub given: bool,
}

impl CallerRules<'_, '_> {
    /// Who speaks to a registry that the `--into` of this number names, or with 0 none.
    pub fn caller(&self, into: usize, registry: &Registry) -> RegistryCaller {
        let (pair, has_pair, reach) = self.pair(into, registry);
        let key = self.key(into, registry, &pair);
        let other = &self.common.into_aws;
        let mut identity = match into {
            0 => self.narrowed(&self.common.aws, registry, false),
            _ => self.narrowed(other, registry, true),
        };
        let is_source = into > 0 && self.all(false).any(|source| source == registry);
        let has_own = has_pair && !pair.is_empty() || !key.is_empty() || *other != AwsIdentity::default();
        if is_source && !has_own {
            if self.request.reach() == CredentialReach::Command {
                return self.caller(0, registry);
            }
            identity = self.narrowed(&self.common.aws, registry, false);
        }
        let named = |(host, _): &&(Registry, String)| host == registry;
        if let Some((_, role)) = self.common.aws_roles.iter().find(named) {
            identity = AwsIdentity { role: Some(role.clone()), external_id: None, ..identity };
        }
        let flags = if into > 0 { "into-" } else { "" };
        RegistryCaller { registry: registry.clone(), pair, has_pair, reach, key, identity, flags }
    }

    /// The registries that are targets, or those that are none.
    fn all(&self, targets: bool) -> impl Iterator<Item = &Registry> {
        let registries = self.request.registries().into_iter();
        registries.filter(move |(into, _)| (*into > 0) == targets).map(|(_, registry)| registry)
    }

    fn is_aws(&self, registry: &Registry) -> bool {
        self.amazon.host(registry).is_some()
    }

    /// An identity that only some of the registries have a use for is about those.
    fn narrowed(&self, identity: &AwsIdentity, registry: &Registry, targets: bool) -> AwsIdentity {
        let is_for_others = !self.is_aws(registry) && self.all(targets).any(|other| self.is_aws(other));
        if is_for_others { AwsIdentity::default() } else { identity.clone() }
    }

    fn has_pair(&self, prefix: &str) -> bool {
        prefix.is_empty() && self.given || keychain::has_pair(self.world, prefix)
    }

    fn has_key(&self, prefix: &str, registry: &Registry) -> bool {
        self.is_aws(registry) && self.world.env(&format!("{prefix}AWS_ACCESS_KEY_ID")).is_some()
    }

    /// What the variables of the pair begin with, whether there is one, and what it is for.
    fn pair(&self, into: usize, registry: &Registry) -> (String, bool, CredentialReach) {
        let pinned = |prefix: &str| keychain::pinned(self.world, prefix, registry);
        let came = self.request.came(registry);
        let reach = self.request.reach();
        let own = match into {
            0 if came => INTO.to_owned(),
            0 => String::new(),
            into => format!("{INTO}{into}_"),
        };
        if reach == CredentialReach::OneOfSeveral {
            let counts = |prefix: &String| self.has_pair(prefix) && pinned(prefix) == Some(true);
            let found = self.order(&own).into_iter().find(counts);
            return (found.clone().unwrap_or(own), found.is_some(), reach);
        }
        if let Request::Rollback(rollback) = self.request {
            // As the promotion did that is taken back: where the pair's own variable names the registry, or the caller
            // does and the image came from another repository.
            let is_there = |prefix: &str| self.has_pair(prefix) || self.has_key(prefix, registry);
            let first = pinned("") == Some(true);
            let named = self.order(INTO).into_iter().find(|prefix| {
                !prefix.is_empty() && is_there(prefix) && pinned(prefix) == Some(true) && (came || !first)
            });
            let is_called = came && rollback.repository.is_some() && !first;
            let called = || (is_called && is_there(INTO) && pinned(INTO).is_none()).then(|| INTO.to_owned());
            let pair = if self.given { None } else { named.or_else(called) }.unwrap_or_default();
            // Which number was whose is not known any more, and the first pair was for where the image came from.
            let numbered = |prefix: &String| !prefix.is_empty() && prefix != INTO && self.has_pair(prefix);
            if pair.is_empty()
                && is_called
                && !self.given
                && let Some(other) = self.order(INTO).into_iter().find(numbered)
            {
                return (other, false, CredentialReach::OneOfSeveral);
            }
            return (pair.clone(), self.has_pair(&pair), reach);
        }
        if into == 0 || self.has_pair(&own) {
            return (own.clone(), self.has_pair(&own), reach);
        }
        let is_one = self.all(true).all(|target| target == registry);
        let is_named = |target: &Registry| keychain::pinned(self.world, INTO, target) == Some(true);
        match (self.has_pair(INTO), pinned(INTO)) {
            (false, _) if is_one => (INTO.to_owned(), false, reach),
            (true, None) if !is_one => (INTO.to_owned(), false, CredentialReach::OneOfSeveral),
            (true, Some(false)) if self.all(true).any(is_named) => (own, false, reach),
            // One that is pinned to none of them is refused, whoever speaks with it.
            (true, _) => (INTO.to_owned(), true, reach),
            _ => (own, false, reach),
        }
    }

    /// What the variables of the key at AWS begin with; such a key signs for AWS and is shown to nobody.
    fn key(&self, into: usize, registry: &Registry, pair: &str) -> String {
        let by_name = |prefix: &String| keychain::pinned(self.world, prefix, registry) == Some(true);
        let named = match self.request.reach() {
            CredentialReach::OneOfSeveral => self.order(pair).into_iter().filter(by_name).collect(),
            _ => Vec::new(),
        };
        let own = if into > 0 { format!("{INTO}{into}_") } else { pair.to_owned() };
        let usual = if own.is_empty() { Vec::new() } else { vec![own, INTO.to_owned()] };
        named.into_iter().chain(usual).find(|prefix| self.has_key(prefix, registry)).unwrap_or_default()
    }

    /// What pairs of variables begin with: the own one before all others, and a target's before the first.
    fn order(&self, own: &str) -> Vec<String> {
        let mut prefixes = keychain::prefixes(self.world);
        prefixes.sort_by_key(|prefix| (prefix != own, !own.is_empty() && prefix.is_empty()));
        prefixes
    }
}
