//! The driver: interprets effects, and knows no fault kind and no protocol by name.

pub mod timer;
mod timerfd;
