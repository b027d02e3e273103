//! Where a flag says that a key lies: in a file, or in a variable of the environment.

use crate::command::session::Session;
use crate::error::{Code, Error};
use crate::pure::signature::pem::BEGIN;
use crate::pure::signature::{PublicKey, SigningKey, public_key};
use crate::pure::text::quoted;
use crate::world::World;
use ring::rand::SystemRandom;
use std::path::Path;

/// More than a hundred keys have.
const LIMIT: u64 = 1 << 20;

/// A key as text, with what holds it.
struct KeyText {
    text: String,
    /// In words, for messages.
    place: String,
    /// Whether it came from a file that others may read.
    is_open: bool,
}

/// Reads a key; a variable may hold the name of its file too, as Jenkins hands out a secret file. What a variable holds is
/// never repeated.
fn read(world: &World, flag: &str, given: &str) -> Result<KeyText, Error> {
    let (place, held) = match given.strip_prefix("env:") {
        Some(name) => (format!("the variable {} of `--{flag}`", quoted(name)), world.env(name)),
        None if given.contains(BEGIN) => (format!("the text of `--{flag}`"), Some(given)),
        None => (format!("the file {} of `--{flag}`", quoted(given)), Some(given)),
    };
    let unreadable = |why: String| {
        Error::new(Code::ConfigMalformed, format!("{place} cannot be read")).cause(why).hint(
            "give the file of a key in PEM form, or `env:NAME` for a variable that holds the key or its file's name",
        )
    };
    let held = held.ok_or_else(|| unreadable("it is not set".to_owned()))?;
    if held.contains(BEGIN) {
        return Ok(KeyText { text: held.to_owned(), place, is_open: false });
    }
    let file = Path::new(held);
    let bytes = world.read_file(file, LIMIT).map_err(|why| unreadable(why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is no text".to_owned()))?;
    Ok(KeyText { text, place, is_open: world.is_open_to_others(file) })
}

/// The public keys that a flag names.
///
/// # Errors
/// `config-malformed`.
pub fn public(world: &World, flag: &str, given: &str) -> Result<Vec<PublicKey>, Error> {
    let KeyText { text, place, .. } = read(world, flag, given)?;
    public_key::read(&text, &place)
}

/// The public keys that records are checked by.
///
/// # Errors
/// `config-malformed`.
pub fn of(session: &Session, given: &[String]) -> Result<Vec<PublicKey>, Error> {
    let read = |given: &String| public(session.exchange.world, "verify-key", given);
    Ok(given.iter().map(read).collect::<Result<Vec<_>, _>>()?.concat())
}

/// The key that records are signed with, which nobody else gets to see.
///
/// # Errors
/// `config-malformed`.
pub fn signing(session: &Session, given: &str) -> Result<SigningKey, Error> {
    let world = session.exchange.world;
    if let Some(name) = given.strip_prefix("env:") {
        let _ = world.hidden.set(name.to_owned());
    }
    let KeyText { text, place, is_open } = read(world, "sign-record", given)?;
    let key = SigningKey::read(&text, &place, &SystemRandom::new())?;
    if is_open {
        let sentence = format!("others than its owner may read {place}; take that from them with `chmod 600`");
        session.exchange.warn("key-open", sentence);
    }
    Ok(key)
}
