//! What a promotion would change, whether it may, and what was done, without a socket.

pub mod copy;
pub mod facts;
pub mod history;
pub mod plan;
pub mod push;
pub mod race;
pub mod record;
pub mod recorded;
pub mod required_label;
pub mod rollback_plan;
pub mod signed_record;
pub mod tag_write;
pub mod template;
pub mod upload;

pub use copy::{ManifestParts, Tally};
pub use facts::{Comparison, Facts, TagKind, Target};
pub use history::StoredRecord;
pub use push::Push;
pub use race::{Announcement, Finding, Overlap, Reading, Rival, Ruling, Watch};
pub use record::{Account, Accounts, Claims, Failure, Record, Referrers, RunRecord, SourceImage, TagRecord};
pub use recorded::Promotion;
pub use required_label::RequiredLabel;
pub use tag_write::{TagWrite, Undo, WriteState};
pub use template::Template;
pub use upload::{Next, Step};
