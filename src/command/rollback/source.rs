//! Where a rollback reads its record: a file, standard input, or the request itself.

use crate::command::request::{RecordSource, Rollback};
use crate::error::{Code, Error, LIST};
use crate::pure::promote::recorded;
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
    let mut promotion = recorded::promotion(&text, &place, request.repository.as_ref())?;
    let records = &mut promotion.records;
    if let (Some(named), Some(other)) = (&request.repository, records.first())
        && other.repository != *named
    {
        let message = format!("the promotion in {place} is about `{}`, and not about `{named}`", other.repository);
        return Err(
            Error::new(Code::RequestInvalid, message).hint("name the repository that was promoted, or its record")
        );
    }
    let known: Vec<String> = records.iter().flat_map(|one| one.tags.iter().map(|tag| tag.tag.to_string())).collect();
    if let Some(tag) = request.tags.iter().find(|tag| !known.iter().any(|known| known == tag.as_str())) {
        let known: Vec<String> = known.iter().take(LIST).map(|known| format!("`{known}`")).collect();
        return Err(Error::new(Code::RequestInvalid, format!("the promotion in {place} has no tag `{tag}`"))
            .hint(format!("name one of {}", known.join(", "))));
    }
    for record in records.iter_mut() {
        record.tags.retain(|known| request.tags.is_empty() || request.tags.contains(&known.tag));
    }
    records.retain(|record| !record.tags.is_empty() || request.tags.is_empty());
    request.promotion = Some(promotion);
    Ok(())
}
