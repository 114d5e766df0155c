//! The driver: interprets effects, and knows no fault kind and no protocol by name.
//!
//! Each worker is a thread with a runtime of its own. Every listener is bound once and its socket
//! is shared by all workers: a second bind with `SO_REUSEPORT` would succeed silently beside another
//! process, and closing one of several loses what waits in its queue.

mod accept;
mod acting;
mod activity;
mod bind;
mod call;
mod endpoint;
mod execution;
mod front;
mod http;
mod http2;
mod hub;
mod inherit;
mod linger;
mod listening;
mod pace;
mod park;
mod patience;
mod proxy_protocol;
mod relay;
mod rescue;
mod serve;
mod stages;
mod tap;
mod tcp;
mod threads;
pub mod timer;
mod timerfd;
mod toxic;
mod trim;
mod watch;
mod worker;

pub use bind::{BindError, Bound, bind, bind_with};
pub use inherit::Inherited;
pub use listening::{ChangeError, Changed, Listening};
pub use threads::{Drained, Parts, Proxy, WorkerEnds};
