//! The built-in demonstration.

pub mod model_server;
