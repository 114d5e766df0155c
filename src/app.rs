//! Wiring: from settings and a snapshot to a running sidecar.
