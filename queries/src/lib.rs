//! ringlake-queries
