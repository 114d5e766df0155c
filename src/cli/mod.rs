//! Arguments, one file a subcommand; exit codes.
