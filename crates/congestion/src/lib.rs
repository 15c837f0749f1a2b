//! Sans-IO congestion control: bandwidth estimation and pacing.
//!
//! An [`Estimator`] turns transport-wide feedback (which packets arrived, and when) into a target rate; [`Gcc`] is
//! the one that browsers use. A [`Pacer`] spreads packets over time at that rate, within a fixed delay. Neither reads a
//! clock or touches a socket.
#![forbid(unsafe_code)]

mod estimator;
mod gcc;
mod pacer;

pub use estimator::{Estimator, PacketResult, ProbeCluster, ProbeId, SentPacket};
pub use gcc::Gcc;
pub use pacer::{Paced, Pacer, PacerPacket, PacerStats, Priority};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
