//! The remotemedia program.
fn main() {}
