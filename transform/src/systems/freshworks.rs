//! Shared by the Freshworks systems.
