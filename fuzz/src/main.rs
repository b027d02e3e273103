//! Hands what libFuzzer makes up to the target that `TAGWRIGHT_FUZZ` names.
//!
//! Without a name it lists the targets; where `TAGWRIGHT_FUZZ_SEEDS` names a folder it writes the target's seeds there.

#![no_main]

mod seeds;
mod targets;

use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use targets::Target;

static CHOSEN: OnceLock<&Target> = OnceLock::new();

fn begin() {
    let name = std::env::var("TAGWRIGHT_FUZZ").unwrap_or_default();
    let Some(target) = targets::ALL.iter().find(|target| target.name == name) else {
        targets::ALL.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(if name.is_empty() { 0 } else { 2 });
    };
    if let Some(folder) = std::env::var_os("TAGWRIGHT_FUZZ_SEEDS") {
        let written = seeds::write(target, folder.as_ref());
        std::process::exit(i32::from(written.inspect_err(|why| eprintln!("fuzz: {why}")).is_err()));
    }
    CHOSEN.get_or_init(|| target);
}

fuzz_target!(init: begin(), |data: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        (target.run)(data);
    }
});
