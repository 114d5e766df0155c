//! The parts of `hormesis demo` from outside: the report, the model server, the load.

#[path = "demo/load.rs"]
mod load;
#[path = "demo/model_server.rs"]
mod model_server;
#[path = "demo/report.rs"]
mod report;
#[path = "demo/server.rs"]
mod server;
