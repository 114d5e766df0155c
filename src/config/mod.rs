//! Configuration files: serde structs, one file a section; all problems at once.
