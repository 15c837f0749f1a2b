/// What [`AudioPlayout`](crate::AudioPlayout) needs of a codec.
///
/// Every method appends interleaved samples to `out` at the rate and channel count of the
/// [`PlayoutConfig`](crate::PlayoutConfig). The calls come in the order of the sound: an implementation keeps its state from
/// one to the next, as decoders do.
pub trait PacketDecoder {
    /// Decodes the next packet.
    ///
    /// # Errors
    ///
    /// [`UndecodablePacket`] if it cannot be decoded; playout then conceals in its place.
    fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> Result<(), UndecodablePacket>;

    /// Makes up `samples` samples of each channel that continue what was decoded last: concealment of a lost packet, or
    /// comfort noise while the other side sends none. It is a multiple of 2.5 ms, the unit of Opus, as long as the packets are.
    /// What it appends too few is filled with silence.
    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>);

    /// Whether `next` seems to carry redundancy for the packet before it. Playout then waits for that packet a little longer, if
    /// losses are frequent enough for it to pay. Cheap: it is called for every loss.
    fn can_recover(&self, next: &[u8]) -> bool;

    /// Decodes the `samples` samples of each channel before the packet `next`, which is not decoded yet, from the redundancy
    /// that `next` carries. Answers `false`, having appended nothing, if it carries none.
    fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<f32>) -> bool;
}

/// A packet that its decoder cannot make sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet cannot be decoded: playout conceals in its place")]
pub struct UndecodablePacket;
