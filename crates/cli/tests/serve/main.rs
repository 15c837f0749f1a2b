//! `remotemedia serve` as those see it who call it or ask it over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/http.rs"]
mod http;
mod ice_servers;
mod options;
#[path = "../support/process.rs"]
mod process;
mod reports;
mod tuning;
