//! The Toxiproxy API as its clients meet it: the program, raw requests, raw answers.

mod answers;
mod cli;
mod refusals;
mod server;
