//! The Toxiproxy API as its clients meet it: the program, raw requests, raw answers.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod answers;
mod cli;
mod refusals;
mod server;
