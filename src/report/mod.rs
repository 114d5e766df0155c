//! Renderers over records and ledgers, one file a format.
