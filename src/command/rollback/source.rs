//! Where a rollback reads its record: a file, standard input, or the request itself.

use crate::command::request::{RecordSource, Rollback};
use crate::error::{Code, Error};
use crate::pure::promote::{Record, recorded};
use crate::world::World;
use std::path::Path;

/// The largest record that is read.
const LIMIT: u64 = 64 << 20;

/// Reads the record, which says what registry the rollback is about, and takes out the tags that are wanted.
///
/// # Errors
/// `record-invalid`; `request-invalid` for a tag that the record does not hold.
pub fn read(world: &World, request: &mut Rollback) -> Result<(), Error> {
    let (place, bytes) = match &request.record {
        RecordSource::File(file) => (format!("`{file}`"), world.read_regular(Path::new(file), LIMIT)),
        RecordSource::Stdin => ("standard input".to_owned(), (world.stdin)(LIMIT)),
        RecordSource::Given(text) => ("`record`".to_owned(), Ok(text.clone().into_bytes())),
    };
    let unreadable = |why: String| {
        Error::new(Code::RecordInvalid, format!("{place} cannot be read"))
            .cause(why)
            .hint("give the file that `promote --record FILE` wrote")
    };
    let bytes = bytes.map_err(|why| unreadable(why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|why| unreadable(why.to_string()))?;
    let mut promotion = recorded::promotion(&text, &place)?;
    let Record { repository, tags, .. } = &mut promotion.record;
    if let Some(named) = request.repository.as_ref().filter(|named| *named != repository) {
        let message = format!("the promotion in {place} is about `{repository}`, and not about `{named}`");
        return Err(
            Error::new(Code::RequestInvalid, message).hint("name the repository that was promoted, or its record")
        );
    }
    if let Some(tag) = request.tags.iter().find(|tag| !tags.iter().any(|known| known.tag == **tag)) {
        let known: Vec<String> = tags.iter().map(|known| format!("`{}`", known.tag)).collect();
        return Err(Error::new(Code::RequestInvalid, format!("the promotion in {place} has no tag `{tag}`"))
            .hint(format!("name one of {}", known.join(", "))));
    }
    tags.retain(|known| request.tags.is_empty() || request.tags.contains(&known.tag));
    request.promotion = Some(promotion);
    Ok(())
}
