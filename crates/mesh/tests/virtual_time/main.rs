//! Meshes in virtual time: whole calls over an emulated network, in a fraction of the time they last. Seeds are printed
//! when a test fails.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

mod calls;
mod connect;
mod gone;
mod keyframes;
mod missing;
mod nat;
mod paths;
mod repeat;
mod restart;
mod simultaneous;
mod streams;
