#![doc = include_str!("../README.md")]

mod scaler;

pub use scaler::{Area, Kernel, Pixels, ScaleError, Scaler};
