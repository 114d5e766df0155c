//! How upstreams are reached: connectors, pools, name resolution.
