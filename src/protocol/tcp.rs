//! `tcp`: bytes both ways. A call is the connection.

use super::registry::ProtocolInfo;

pub(super) const INFO: ProtocolInfo = ProtocolInfo {
    name: "tcp",
    summary: "bytes both ways, whatever they mean; a call is a connection",
    doc: include_str!("docs/tcp.md"),
    operations: &[],
    units: "",
    dialect: None,
};
