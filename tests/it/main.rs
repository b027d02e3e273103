//! The program from outside: the real binary, an empty environment, servers that answer as told.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests meet the world, end at the first surprise, and say how much they have explored"
)]

#[path = "../support/mod.rs"]
mod support;

mod absence;
mod across;
mod alone;
mod auth;
mod aws_sources;
mod board;
mod board_page;
mod bounds;
mod broken_off;
mod bugs;
mod cache;
mod call;
mod chunks;
mod connections;
mod contributing;
mod counts;
mod crowd;
mod diff;
mod doctor;
mod documents;
mod ecr;
mod ecr_into;
mod fakes;
mod fallback;
mod fan_out;
mod faults;
mod find_tag;
mod floating;
mod fuzz;
mod guard;
mod history;
mod house;
mod inspect;
mod interleavings;
mod labels;
mod launcher;
mod links;
mod made_release;
mod meanwhile;
mod next_version;
mod odd_content;
mod products;
mod promote;
mod race_model;
mod races;
mod rate_limit;
mod realms;
mod record;
mod release;
mod releases;
mod request_schema;
mod rollback;
mod secrets;
mod several;
mod signatures;
mod signed_record;
mod stage;
mod strangers;
mod tags;
mod targets_auth;
mod terminal;
mod tidy;
mod tls;
mod transfer;
mod uploads;
mod usage;
mod wait;
mod wycheproof;
