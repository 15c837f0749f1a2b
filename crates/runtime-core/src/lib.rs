//! Media pipelines: the data that flows through them, the manifests that describe them, the nodes they are made of, and
//! the runner that executes them. It knows no transport and no codec.
//!
//! ```
//! use std::sync::Arc;
//! use remotemedia_runtime_core::{
//!     data::{AudioFrame, RuntimeData},
//!     manifest::Manifest,
//!     runner::PipelineRunner,
//!     transport::{PipelineTransport, TransportData},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let manifest = Arc::new(Manifest::from_yaml(
//!     "pipeline: { nodes: [{ id: louder, type: Gain, params: { linear: 2 } }] }",
//! )?);
//! let mut session = PipelineRunner::new().stream(manifest).await?;
//! session.send_input(TransportData::new(AudioFrame::new(vec![0.25; 480], 48_000, 1)?)).await?;
//! while let Some(output) = session.recv_output().await? {
//!     let RuntimeData::Audio { frame } = output.data else { panic!("audio in, audio out") };
//!     assert_eq!(frame.samples()[0], 0.5);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod data;
mod error;
mod formats;
mod graph;
pub mod manifest;
pub mod node;
pub mod nodes;
pub mod runner;
pub mod transport;

pub use error::RuntimeError;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
