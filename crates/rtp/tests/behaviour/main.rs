//! What this crate promises, one file per behaviour.

mod junk;
mod order_and_loss;
mod peers_of_the_rtc_crate;
mod round_trip;
mod stream;
mod wire_vectors;
