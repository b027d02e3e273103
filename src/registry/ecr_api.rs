//! Calls to Amazon ECR's own API, signed, and the password for the registry API that one of them lends.
//!
//! What is asked and answered is in `pure::aws::ecr`; whose credential signs is found in [`crate::aws::chain`].
//!
//! Source: Amazon ECR API Reference, version 2015-09-21.

use crate::aws::{Aws, AwsAccess, AwsAnswer, Caller, Signer};
use crate::error::{Code, Error};
use crate::http::Exchange;
use crate::pure::aws::ecr::Operation;
use crate::pure::aws::{AwsFault, EcrLogin, ecr, fault};
use crate::pure::http::Response;
use crate::registry::limits;
use serde_json::{Value, json};
use std::sync::Arc;

/// The service's name in messages.
const SERVICE: &str = "Amazon ECR";

/// The API of one registry, as one caller sees it.
pub struct EcrApi<'a> {
    /// Which registry it is, and whose credential signs.
    pub access: Arc<AwsAccess>,
    exchange: &'a Exchange<'a>,
    caller: Caller<'a>,
}

impl<'a> EcrApi<'a> {
    /// Asks nothing yet.
    pub fn new(aws: &'a Aws, exchange: &'a Exchange<'a>, access: Arc<AwsAccess>) -> Self {
        Self { access, exchange, caller: aws.caller(exchange) }
    }

    /// Calls, and brings back the answer or the refusal.
    ///
    /// # Errors
    /// The fault's code when no answer came.
    pub fn call(&self, operation: Operation, body: &Value, wanted: &str, limit: u64) -> AwsAnswer {
        let host = &self.access.host;
        let found = self.access.lookup.found.as_ref();
        let found = found.ok_or_else(|| Error::new(Code::Internal, "a call to ECR without a credential"))?;
        let request = ecr::call(&self.access.api, host, operation, body);
        let signer = Signer { credential: &found.credential, region: host.region(), service: host.service() };
        let answer = self.caller.call(wanted, &request, Some(signer), limit)?;
        if let Some(ahead) = self.caller.clock.ahead() {
            self.exchange.warn("clock-wrong", fault::skew_text(ahead));
        }
        Ok(answer)
    }

    /// As [`EcrApi::call`], with a refusal as an error.
    ///
    /// # Errors
    /// Those of the call.
    pub fn answer(&self, operation: Operation, body: &Value, wanted: &str, limit: u64) -> Result<Response, Error> {
        self.call(operation, body, wanted, limit)?.map_err(|refusal| self.refused(operation, wanted, &refusal))
    }

    /// A refusal as an error, with the credential that signed.
    pub fn refused(&self, operation: Operation, wanted: &str, refusal: &AwsFault) -> Error {
        let request = ecr::call(&self.access.api, &self.access.host, operation, &Value::Null);
        let error = refusal.error(&format!("cannot {wanted}"), SERVICE, &request);
        let source = self.access.lookup.found.as_ref().map_or("nobody", |found| found.source.as_str());
        let error = error.cause(format!("`{}` was signed with the credential from: {source}", operation.as_str()));
        self.caller.explained(error)
    }

    /// A password for the registry API.
    ///
    /// # Errors
    /// Those of the call.
    pub fn get_authorization_token(&self, registry: &str) -> Result<EcrLogin, Error> {
        let wanted = format!("get a password for `{registry}`");
        let response = self.answer(Operation::GetAuthorizationToken, &json!({}), &wanted, limits::SMALL)?;
        ecr::login(&response.body).map_err(|error| error.during(format!("cannot {wanted}")))
    }
}
