//! Scheduled exports.
