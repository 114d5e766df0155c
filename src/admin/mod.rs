//! The admin listener: HTTP API over a control handle.
