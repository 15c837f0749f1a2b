//! A seeded network emulator: one link model without I/O, and a network in virtual time on top of it.
//!
//! - [`link`]: one direction of a path. Queue, bottleneck, loss, delay, jitter, reordering, duplication, outages.
//! - [`nat`]: a UDP address translator.
//! - [`virt`]: hosts, links and translators joined to a network on tokio's paused clock, which a mesh uses in place of the
//!   system's sockets: a 30-minute call takes seconds, and a seed repeats it.
//! - [`filter`]: the system's sockets, with a say in which datagrams pass.
#![forbid(unsafe_code)]

pub mod filter;
pub mod link;
pub mod nat;
pub mod virt;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
