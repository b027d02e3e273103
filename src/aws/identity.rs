//! Amazon's registries in one run: which registry is one, where its API answers, and whose credential signs for it.
//!
//! Where credentials are looked for is in [`crate::aws::chain`].

use crate::aws::{AwsLookup, Caller, Chain, ChainSettings, ClockSkew};
use crate::error::{Code, Error};
use crate::http::Exchange;
use crate::pure::auth::lookup;
use crate::pure::aws::{AwsIdentity, EcrHost, host};
use crate::pure::http::Url;
use crate::pure::image::Registry;
use crate::pure::image::listing::Via;
use crate::threads::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long before its end a credential is replaced.
const MARGIN: time::Duration = time::Duration::minutes(2);

/// What the flags say about Amazon's registries.
#[derive(Clone, Debug, Default)]
pub struct AwsSettings {
    /// The profile, role and external id that are wanted.
    pub identity: AwsIdentity,
    /// Registries, as host or host and port, that stand for one of Amazon's.
    pub names: Vec<(String, EcrHost)>,
    /// Whether a credential may only come from AWS.
    pub only: bool,
    /// Whether AWS is asked for a credential at all.
    pub asked: bool,
    /// The one API that is wanted.
    pub via: Option<Via>,
    /// What the variables of its key begin with.
    pub key: String,
    /// What the flags about it begin with: nothing, or `into-`.
    pub flags: &'static str,
}

impl AwsSettings {
    /// Which of Amazon's registries this one is, if any.
    pub fn host(&self, registry: &Registry) -> Option<EcrHost> {
        let authority = registry.authority();
        let named = self.names.iter().find(|(name, _)| *name == authority || *name == registry.host());
        named.map(|(_, host)| host.clone()).or_else(|| EcrHost::parse(registry.host()))
    }

    /// Whether a registry is one that this API answers for.
    pub fn has_api(&self, via: Via, registry: &Registry) -> bool {
        match via {
            Via::HubApi => registry.is_docker_hub(),
            Via::EcrApi => self.host(registry).is_some(),
            Via::Registry => true,
        }
    }
}

/// One registry of Amazon's, where its API answers, and what the search for its credential came to.
pub struct AwsAccess {
    /// The registry.
    pub host: EcrHost,
    /// Where its API answers: as environment or profile say, else by its host name.
    pub api: Url,
    /// The credential, if any place had one.
    pub lookup: AwsLookup,
}

/// A place for an access; whoever holds the lock is looking.
type AccessSlot = Arc<Mutex<Option<Arc<AwsAccess>>>>;

/// Everything that is known about AWS in this run.
#[derive(Default)]
pub struct Aws {
    /// What the flags say.
    pub settings: AwsSettings,
    clock: ClockSkew,
    accesses: Mutex<HashMap<EcrHost, AccessSlot>>,
}

impl Aws {
    /// Looks nowhere yet.
    pub fn new(settings: AwsSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Refuses flags that have no meaning for this registry.
    ///
    /// # Errors
    /// `request-invalid`.
    pub fn check(&self, registry: &Registry) -> Result<(), Error> {
        let settings = &self.settings;
        let host = settings.host(registry);
        if let Some(why) = host::misspelt(registry.host()).filter(|_| host.is_none()) {
            let message = format!("`{registry}` is not a registry of Amazon ECR: {why}");
            return Err(Error::new(Code::ReferenceInvalid, message)
                .hint("write a name such as `123456789012.dkr.ecr.eu-west-1.amazonaws.com`"));
        }
        let flag = |name: &str| format!("--{}{name}", settings.flags);
        let wanted = if settings.via == Some(Via::EcrApi) && !matches!(host, Some(EcrHost::Private(_))) {
            "--via ecr-api".to_owned()
        } else if host.is_some() {
            return Ok(());
        } else if settings.identity.role.is_some() {
            flag("aws-role")
        } else if settings.identity.profile.is_some() {
            flag("aws-profile")
        } else if settings.only {
            "--credentials-from aws".to_owned()
        } else {
            return Ok(());
        };
        let message = format!("`{wanted}` is for private registries of Amazon ECR, and `{registry}` is none");
        let hint = format!("leave it out; or name what `{registry}` stands for with `--ecr {registry}=ECRHOST`");
        Err(Error::new(Code::RequestInvalid, message).hint(hint))
    }

    /// Looks for the credential of a registry, once; `None` where it is not one of Amazon's, or AWS is not to be asked.
    ///
    /// # Errors
    /// Those of [`Chain::search`].
    pub fn access(&self, exchange: &Exchange, registry: &Registry) -> Result<Option<Arc<AwsAccess>>, Error> {
        let Some(host) = self.settings.host(registry).filter(|_| self.settings.asked) else { return Ok(None) };
        let slot = lock(&self.accesses).entry(host.clone()).or_default().clone();
        // Whoever comes second waits for what the first one finds.
        let mut slot = lock(&slot);
        let fresh = |access: &Arc<AwsAccess>| {
            let end = access.lookup.found.as_ref().and_then(|found| found.credential.expires_at);
            end.is_none_or(|end| exchange.world.now() + MARGIN < end)
        };
        if let Some(access) = slot.as_ref().filter(|access| fresh(access)) {
            return Ok(Some(access.clone()));
        }
        let caller = self.caller(exchange);
        let chain = Chain::new(&caller, self.wanted(&host));
        let lookup =
            chain.search().map_err(|error| error.during(format!("looking for the AWS credential of `{registry}`")))?;
        let api = match chain.endpoint(host.service())? {
            Some(url) => url,
            None => Url::parse(&format!("https://{}/", host.api_host(chain.variant()?)))?,
        };
        let access = Arc::new(AwsAccess { host, api, lookup });
        *slot = Some(access.clone());
        Ok(Some(access))
    }

    /// Refuses to do without a credential where nothing else may be used.
    ///
    /// # Errors
    /// `credential-missing`.
    pub fn require(&self, registry: &Registry, access: &AwsAccess) -> Result<(), Error> {
        if access.lookup.found.is_some() || !(self.settings.only || self.settings.via == Some(Via::EcrApi)) {
            return Ok(());
        }
        let tried = &access.lookup.tried;
        let message = format!("`{registry}` needs an AWS credential and none was found");
        Err(Error::new(Code::CredentialMissing, message)
            .cause(lookup::line(tried))
            .hint(HINT)
            .detail("tried", lookup::values(tried)))
    }

    /// Who the caller is. With `patience` it is asked once, and no longer than that.
    ///
    /// # Errors
    /// Those of the call.
    pub fn identity(
        &self,
        exchange: &Exchange,
        access: &AwsAccess,
        patience: Option<Duration>,
    ) -> Result<Option<String>, Error> {
        let Some(found) = &access.lookup.found else { return Ok(None) };
        let mut caller = self.caller(exchange);
        if let Some(patience) = patience {
            let end = exchange.world.instant() + patience;
            (caller.until, caller.retries) = (Some(caller.until.map_or(end, |until| until.min(end))), 0);
        }
        Chain::new(&caller, self.wanted(&access.host)).identity(&found.credential).map(Some)
    }

    /// The way to a service of AWS.
    pub fn caller<'a>(&'a self, exchange: &'a Exchange<'a>) -> Caller<'a> {
        Caller {
            world: exchange.world,
            send: Box::new(|request, limits, number| exchange.attempt(request, None, limits, number)),
            until: exchange.until,
            retries: exchange.settings.retries,
            clock: &self.clock,
            journal: &exchange.journal,
        }
    }

    fn wanted(&self, host: &EcrHost) -> ChainSettings {
        let settings = &self.settings;
        ChainSettings {
            identity: settings.identity.clone(),
            key: settings.key.clone(),
            region: matches!(host, EcrHost::Private(_)).then(|| host.region().to_owned()),
            // Anybody may read the public registry, so nobody waits for a service that may not be there.
            metadata: matches!(host, EcrHost::Private(_)) || settings.only || settings.identity.role.is_some(),
        }
    }
}

/// What to do when no place has an AWS credential.
pub const HINT: &str = "give the agent a role that allows `ecr:BatchGetImage` and `ecr:GetDownloadUrlForLayer`, or wrap the step in \
     `withCredentials` or `withAWS`";
