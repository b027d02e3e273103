//! Amazon's registries in one run: which registry is one, whose credential signs for it, and whether its
//! own API answers or the registry API.
//!
//! Where credentials are looked for is in [`crate::aws::chain`], the calls are in [`crate::registry::ecr`].

use crate::aws::call::{Caller, ClockSkew};
use crate::aws::chain::{AwsLookup, Chain, ChainSettings};
use crate::pure::auth::lookup::{self, LookupStep};
use crate::registry::ecr::{self, Ecr};
use crate::http::exchange::Exchange;
use crate::threads::lock;
use crate::error::{Code, Error};
use crate::pure::aws::answer::AwsCredential;
use crate::pure::aws::ecr::EcrLogin;
use crate::pure::aws::host::{self, EcrHost};
use crate::pure::aws::sts::CallerIdentity;
use crate::pure::http::url::Url;
use crate::pure::image::registry::Registry;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long before its end a credential is replaced.
const MARGIN: time::Duration = time::Duration::minutes(2);

/// What the flags say about Amazon's registries.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The profile, role and external id that are wanted.
    pub profile: Option<String>,
    /// A role to assume.
    pub role: Option<String>,
    /// The word that the role's owner agreed with the caller.
    pub external_id: Option<String>,
    /// Registries, as host or host and port, that stand for one of Amazon's.
    pub names: Vec<(String, EcrHost)>,
    /// Whether a credential may only come from AWS.
    pub only: bool,
    /// Whether AWS is asked for a credential at all.
    pub asked: bool,
    /// Which API is wanted: ECR's own, or the registry's.
    pub native: Option<bool>,
    /// Whether this is the `--into` side, which has variables and flags of its own.
    pub into: bool,
}

impl Settings {
    /// Which of Amazon's registries this one is, if any.
    pub fn host(&self, registry: &Registry) -> Option<EcrHost> {
        let authority = registry.authority();
        let named = self.names.iter().find(|(name, _)| *name == authority || *name == registry.host());
        named.map(|(_, host)| host.clone()).or_else(|| EcrHost::parse(registry.host()))
    }
}

/// What a search came to, with the address of the API.
pub struct Standing {
    /// The registry.
    pub host: EcrHost,
    /// The credential, if any place had one.
    pub search: AwsLookup,
    api: Url,
}

/// A place for a standing; whoever holds the lock is looking.
type Slot = Arc<Mutex<Option<Arc<Standing>>>>;

/// Everything that is known about AWS in this run.
#[derive(Default)]
pub struct Aws {
    /// What the flags say.
    pub settings: Settings,
    clock: ClockSkew,
    standings: Mutex<HashMap<EcrHost, Slot>>,
}

impl Aws {
    /// Looks nowhere yet.
    pub fn new(settings: Settings) -> Self {
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
        let wanted = if settings.native == Some(true) && !matches!(host, Some(EcrHost::Private(_))) {
            "--via ecr-api"
        } else if host.is_some() {
            return Ok(());
        } else if settings.role.is_some() {
            if settings.into { "--into-aws-role" } else { "--aws-role" }
        } else if settings.profile.is_some() {
            if settings.into { "--into-aws-profile" } else { "--aws-profile" }
        } else if settings.only {
            "--credentials-from aws"
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
    pub fn standing(&self, exchange: &Exchange, registry: &Registry) -> Result<Option<Arc<Standing>>, Error> {
        let Some(host) = self.settings.host(registry).filter(|_| self.settings.asked) else { return Ok(None) };
        let slot = lock(&self.standings).entry(host.clone()).or_default().clone();
        // Whoever comes second waits for what the first one finds.
        let mut slot = lock(&slot);
        let fresh = |standing: &Arc<Standing>| {
            let end = standing.search.found.as_ref().and_then(|found| found.credential.expires_at);
            end.is_none_or(|end| exchange.world.now() + MARGIN < end)
        };
        if let Some(standing) = slot.as_ref().filter(|standing| fresh(standing)) {
            return Ok(Some(standing.clone()));
        }
        let caller = self.caller(exchange);
        let chain = Chain::new(&caller, self.wanted(&host));
        let search =
            chain.search().map_err(|error| error.during(format!("looking for the AWS credential of `{registry}`")))?;
        if let Some(AwsCredential { key_id, secret, session_token, .. }) = search.found.as_ref().map(|f| &f.credential)
        {
            // A refusal may repeat what was signed.
            [Some(key_id), Some(secret), session_token.as_ref()].into_iter().flatten().for_each(|s| exchange.journal.guard(s));
        }
        let standing = Arc::new(Standing { api: ecr::api(&chain, &host)?, host, search });
        *slot = Some(standing.clone());
        Ok(Some(standing))
    }

    /// ECR's own API, where it is to be spoken to.
    ///
    /// # Errors
    /// Those of [`Aws::standing`]; `credential-missing` where nothing else may be used and no place has one.
    pub fn native<'a>(&'a self, exchange: &'a Exchange<'a>, registry: &Registry) -> Result<Option<Ecr<'a>>, Error> {
        if self.settings.native == Some(false) || matches!(self.settings.host(registry), None | Some(EcrHost::Public)) {
            return Ok(None);
        }
        let Some(standing) = self.standing(exchange, registry)? else { return Ok(None) };
        if standing.search.found.is_some() {
            return Ok(Some(Ecr { exchange, caller: self.caller(exchange), api: standing.api.clone(), standing }));
        }
        if self.settings.only || self.settings.native == Some(true) {
            return Err(missing(registry, &standing.search.tried));
        }
        Ok(None)
    }

    /// A password for the registry API, where AWS has a credential.
    ///
    /// # Errors
    /// As [`Aws::native`], and those of the call.
    pub fn login(
        &self,
        exchange: &Exchange,
        registry: &Registry,
        standing: &Arc<Standing>,
    ) -> Result<Option<EcrLogin>, Error> {
        if standing.search.found.is_none() {
            return if self.settings.only { Err(missing(registry, &standing.search.tried)) } else { Ok(None) };
        }
        let (caller, api, standing) = (self.caller(exchange), standing.api.clone(), standing.clone());
        let login = Ecr { exchange, caller, api, standing }.get_authorization_token(&registry.to_string())?;
        Ok(Some(login))
    }

    /// Who the caller is. With `patience` it is asked once, and no longer than that.
    ///
    /// # Errors
    /// Those of the call.
    pub fn identity(
        &self,
        exchange: &Exchange,
        standing: &Standing,
        patience: Option<Duration>,
    ) -> Result<Option<CallerIdentity>, Error> {
        let Some(found) = &standing.search.found else { return Ok(None) };
        let mut caller = self.caller(exchange);
        if let Some(patience) = patience {
            let end = exchange.world.instant() + patience;
            (caller.until, caller.retries) = (Some(caller.until.map_or(end, |until| until.min(end))), 0);
        }
        Chain::new(&caller, self.wanted(&standing.host)).identity(&found.credential).map(Some)
    }

    fn caller<'a>(&'a self, exchange: &'a Exchange<'a>) -> Caller<'a> {
        Caller {
            world: exchange.world,
            send: Box::new(|request, limits, number| exchange.attempt(request, None, limits, number)),
            until: exchange.settings.until,
            retries: exchange.settings.retries,
            clock: &self.clock,
        }
    }

    fn wanted(&self, host: &EcrHost) -> ChainSettings {
        let settings = &self.settings;
        ChainSettings {
            profile: settings.profile.clone(),
            role: settings.role.clone(),
            external_id: settings.external_id.clone(),
            into: settings.into,
            region: matches!(host, EcrHost::Private(_)).then(|| host.region().to_owned()),
            // Anybody may read the public registry, so nobody waits for a service that may not be there.
            metadata: matches!(host, EcrHost::Private(_)) || settings.only || settings.role.is_some(),
        }
    }
}

/// That AWS was to have a credential, and what each place said.
pub fn missing(registry: &Registry, tried: &[LookupStep]) -> Error {
    Error::new(Code::CredentialMissing, format!("`{registry}` needs an AWS credential and none was found"))
        .cause(lookup::line(tried))
        .hint(HINT)
        .detail("tried", lookup::values(tried))
}

/// What to do when no place has an AWS credential.
pub const HINT: &str = "give the agent a role that allows `ecr:BatchGetImage` and `ecr:GetDownloadUrlForLayer`, or wrap the step in \
     `withCredentials` or `withAWS`";
