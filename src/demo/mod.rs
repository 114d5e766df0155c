//! The built-in model server, and the story that `hormesis demo` tells.
