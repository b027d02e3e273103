//! Which registry is told the story, and behind which door.

use crate::stage::{Door, Program};
use crate::story::check_story;

#[test]
fn every_command_works_on_an_open_registry() {
    check_story(Program::Debian, Door::Open);
}

#[test]
fn every_command_works_with_a_password() {
    check_story(Program::Debian, Door::Password);
}

#[test]
fn every_command_works_with_tokens() {
    check_story(Program::Debian, Door::Tokens);
}

#[test]
fn every_command_works_in_tls_from_a_private_authority() {
    check_story(Program::Debian, Door::Tls);
}

#[test]
fn every_command_works_on_an_open_registry_3() {
    check_story(Program::Three, Door::Open);
}

#[test]
fn every_command_works_on_registry_3_with_a_password() {
    check_story(Program::Three, Door::Password);
}

#[test]
fn every_command_works_on_registry_3_with_tokens() {
    check_story(Program::Three, Door::Tokens);
}

#[test]
fn every_command_works_on_registry_3_in_tls() {
    check_story(Program::Three, Door::Tls);
}

#[test]
fn every_command_works_on_an_open_olareg() {
    check_story(Program::Olareg, Door::Open);
}

#[test]
fn every_command_works_on_olareg_in_tls() {
    check_story(Program::Olareg, Door::Tls);
}

#[test]
fn every_command_works_on_cranes_registry() {
    check_story(Program::Crane, Door::Open);
}
