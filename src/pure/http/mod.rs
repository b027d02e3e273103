//! Requests and responses as values, and what can be decided from them without a socket.

pub mod budget;
pub mod certificate;
pub mod fault;
pub mod link;
pub mod message;
pub mod proxy;
pub mod redact;
pub mod redirect;
pub mod refusal;
pub mod retry;
pub mod settings;
pub mod url;
pub mod warning;

pub use budget::Budget;
pub use fault::{Fault, Phase, Trouble};
pub use message::{Headers, Repeat, Response, quoted_string};
pub use proxy::{Proxies, Proxy};
pub use refusal::{ErrorDocument, Subject};
pub use retry::{Pace, Verdict};
pub use settings::ExchangeSettings;
pub use url::{Origin, Place, Resolve, Url, bracketed, place, split_host_port};
