//! The credential that a person hands over on standard input, so that neither a process list nor a history shows it.

use crate::error::{Code, Error};
use crate::pure::auth::Credential;
use crate::secret::Secret;
use crate::world::World;

/// The most bytes of a password; tokens of some registries are long.
const LIMIT: u64 = 64 << 10;

/// How a password gets there.
const RECIPE: &str = "pipe it in, as in `pass show registry | tagwright ...`, or in bash and zsh `read -rs P && tagwright ... --password-stdin <<<\"$P\"`";

/// Reads the password of a user: one line, whose end is taken off.
///
/// # Errors
/// `missing-value` where there is none, `request-invalid` for what cannot be one.
pub fn read(world: &World, username: &str) -> Result<Credential, Error> {
    let refused = |code, why: &str| Error::new(code, format!("`--password-stdin` {why}")).hint(RECIPE);
    if world.is_typed() {
        return Err(refused(Code::RequestInvalid, "would read a terminal, which shows what is typed"));
    }
    let bytes = (world.stdin)(LIMIT);
    let bytes = bytes.map_err(|why| refused(Code::RequestInvalid, "cannot be read").cause(why.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refused(Code::RequestInvalid, "holds no UTF-8 text"))?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    match line {
        "" => Err(refused(Code::MissingValue, "holds no password")),
        line if line.contains(['\n', '\r', '\0']) => Err(refused(Code::RequestInvalid, "holds more than one line")),
        line => Ok(Credential::Password { username: username.to_owned(), password: Secret::new(line) }),
    }
}
