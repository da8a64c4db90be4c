//! ringlake-ingest
