//! The parts of `hormesis demo` from outside: the report, the model server, the load.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

#[path = "demo/load.rs"]
mod load;
#[path = "demo/model_server.rs"]
mod model_server;
#[path = "demo/report.rs"]
mod report;
#[path = "demo/server.rs"]
mod server;
