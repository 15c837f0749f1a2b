//! Sans-IO congestion control: bandwidth estimation and pacing.
#![forbid(unsafe_code)]

mod estimator;

pub use estimator::{Estimator, PacketResult, SentPacket};
