//! Everything about this workspace that is not `cargo build`.
fn main() {}
