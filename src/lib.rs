//! hormesis: a sidecar that breaks model servers and feature stores on purpose, within limits
//! that hold, and tells what each failure did to the users and what it cost.
//!
//! `ARCHITECTURE.md` draws the way of one call. Modules stand here in the order of that drawing:
//! a module may use those above it, never those below; `tests/tidy.rs` holds it.

pub mod units;

pub mod draw;
pub mod error;
pub mod histogram;
pub mod law;

pub mod call;
pub mod effect;
pub mod toxic;

pub mod view;

pub mod model;

pub mod http1;
pub mod io;

pub mod tls;

pub mod protocol;

pub mod fault;

pub mod rule;

pub mod record;

pub mod energy;

pub mod measure;

pub mod upstream;

pub mod config;
pub mod snapshot;

pub mod live;

pub mod proxy;

pub mod control;

pub mod admin;

pub mod toxiproxy;

pub mod load;

pub mod report;

pub mod demo;

pub mod app;
pub mod cli;
