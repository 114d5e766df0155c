//! The handle on a running sidecar: arm, disarm, halt, swap the snapshot, read counters.
