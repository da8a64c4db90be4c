//! ringlake-sinks
