//! The mixer: the node, and the parts that it is made of.

mod input;
mod limiter;
mod output;
mod params;

use std::{collections::HashMap, sync::Arc, time::Duration};

use remotemedia_runtime_core::{
    data::{AudioFrame, ControlMessage, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, Params},
};

use self::{
    input::{Format, Input, InputKey},
    output::{Output, Sum},
};
use super::AudioNodeError;

/// `AudioMixer`: mixes any number of inputs, up to 64, aligned in time; with `mix_minus` each peer hears all others.
///
/// An input is a stream of a peer (`source` and `stream_id` of its frames); audio that no peer sent is told apart by the
/// node or pipeline input that it comes from and its `stream_id`. It takes audio of 8 to 192 kHz with 1 to 8 channels in
/// frames of any length, and audio mixes, whose frames are inputs of their own; other data passes unchanged. The least
/// recently used input gives way to a 65th.
///
/// Params: `mix_mode`, how inputs become one: `sum` (the default), `average` or `maximum` (of each sample the one with the
/// largest magnitude); `mix_minus` (default false); `sample_rate`, 8,000 to 192,000 Hz (default 48,000), `channels`, 1 or 2
/// (default 1), and `frame_ms`, 10 or 20 ms (default 20), of what comes out; `max_wait_ms`, 0 to 180 ms (default 40), how
/// long the mix waits for an input that is late; `gains`, an object from peers to decibels, -120 to 20 (-120 is silence);
/// the id of the node or input stands for audio that no peer sent. `gains` and `max_wait_ms` change while it runs,
/// gains within 10 ms; anything else starts it anew.
///
/// With `mix_minus` a mix for each peer that has sent something comes out, with its id as the metadata `peer`: all inputs
/// but the peer's own. A peer that is alone hears silence, so that its playout has a steady stream. Otherwise one mix of
/// all comes out. Its frames have no source and no stream id, and timestamps that count samples from 0. Whatever the
/// mode, peaks are limited to full scale; up to -1 dBFS the limiter changes nothing, and a sum is exact.
///
/// The mixer has no clock: a frame is due when each active input has one buffered, or one of them has more than
/// `max_wait_ms`. Those that lack samples then fade out over 5 ms and are inactive until they send again; what of theirs
/// arrives late in a burst, by its timestamps, is skipped, so that they are on time again. Inputs fade in over 5 ms.
/// No input ever buffers more than `max_wait_ms` and a frame.
///
/// Control messages `peer_left` and `stream_ended` with the payload `{"peer": "..."}` end that peer's inputs at once, with
/// `"stream_id"` beside it only that stream, and pass. After `peer_left` the peer gets no mix any more.
pub struct AudioMixer {
    config: MixerConfig,
    format: Format,
    /// Samples per channel of a frame.
    frame: usize,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    sum: Sum,
    voice: Vec<f32>,
    /// Samples per channel that went out.
    position: u64,
    calls: u64,
    parties: u32,
}

/// How an [`AudioMixer`] mixes.
#[derive(Clone, Debug, PartialEq)]
pub struct MixerConfig {
    /// How inputs become one.
    pub mode: MixMode,
    /// Whether each peer gets a mix of all others.
    pub mix_minus: bool,
    /// Samples per second of what comes out.
    pub sample_rate: u32,
    /// Channels of what comes out: 1 or 2.
    pub channels: u16,
    /// How long a frame is that comes out, in milliseconds.
    pub frame_ms: u32,
    /// How long the mix waits for an input that is late.
    pub max_wait: Duration,
    /// Factors by peer, or by node for audio that no peer sent. All others have 1.
    pub gains: HashMap<String, f32>,
}

impl Default for MixerConfig {
    fn default() -> Self {
        Self {
            mode: MixMode::Sum,
            mix_minus: false,
            sample_rate: 48_000,
            channels: 1,
            frame_ms: 20,
            max_wait: Duration::from_millis(40),
            gains: HashMap::new(),
        }
    }
}

/// How inputs become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MixMode {
    /// Their sum.
    #[default]
    Sum,
    /// Their sum, divided by the number of inputs that sound.
    Average,
    /// Of each sample the one with the largest magnitude.
    Maximum,
}

impl AudioMixer {
    /// Most inputs at a time.
    pub const MAX_INPUTS: usize = 64;

    /// The type, to register.
    pub fn node_type() -> NodeType {
        params::node_type()
    }

    /// A mixer as `config` says. Rates, channels and durations out of range become the nearest that is possible.
    pub fn new(mut config: MixerConfig) -> Self {
        config.sample_rate = config.sample_rate.clamp(8_000, 192_000);
        config.channels = config.channels.clamp(1, 2);
        config.frame_ms = config.frame_ms.clamp(10, 20);
        config.max_wait = config.max_wait.min(Duration::from_millis(180));
        let format = Format { sample_rate: config.sample_rate, channels: config.channels.into() };
        let frame = (config.sample_rate * config.frame_ms / 1_000) as usize;
        let outputs = if config.mix_minus { Vec::new() } else { vec![Output::new(None)] };
        Self {
            format,
            frame,
            inputs: Vec::new(),
            outputs,
            sum: Sum::new(config.mode, frame * format.channels),
            voice: vec![0.0; frame * format.channels],
            position: 0,
            calls: 0,
            parties: 0,
            config,
        }
    }

    /// Takes frames that sound at the same time, and mixes what is due.
    fn take(&mut self, frames: &[Arc<AudioFrame>], out: &mut Emitter<'_>) -> Result<(), AudioNodeError> {
        self.calls += 1;
        self.inputs.retain(|input| !input.is_ended || input.sounds());
        let mut taken = Vec::with_capacity(frames.len());
        for (place, frame) in frames.iter().enumerate().take(Self::MAX_INPUTS) {
            if frame.samples().is_empty() {
                continue;
            }
            let index = self.input_of(frame, out.from(), place);
            self.inputs[index].used = self.calls;
            if self.inputs[index].begin(frame, self.position)? {
                taken.push((index, frame, 0));
            } else {
                out.dropped(1);
            }
        }
        // By 10 ms, so that a long frame does not have to be buffered.
        while !taken.is_empty() {
            for (index, frame, at) in &mut taken {
                let samples = &frame.samples()[*at..];
                let length = (frame.sample_rate() as usize / 100).max(1) * usize::from(frame.channels());
                let piece = &samples[..length.min(samples.len())];
                self.inputs[*index].push(piece, frame.sample_rate(), frame.channels())?;
                *at += piece.len();
            }
            taken.retain(|(_, frame, at)| *at < frame.samples().len());
            while self.is_due() {
                self.mix(out)?;
            }
        }
        Ok(())
    }

    /// The index of the input that `frame` belongs to, which is made if there is none.
    fn input_of(&mut self, frame: &AudioFrame, from: Option<&str>, place: usize) -> usize {
        if let Some(index) = self.inputs.iter().position(|input| !input.is_ended && input.key.is_of(frame, from, place))
        {
            return index;
        }
        let key = InputKey::of(frame, from, place);
        let party = self.party_of(&key);
        let gain = self.gain_of(&key);
        let mut input = Input::new(key, party, self.format, gain);
        if self.inputs.len() < Self::MAX_INPUTS {
            self.inputs.push(input);
            return self.inputs.len() - 1;
        }
        let oldest = self.inputs.iter().enumerate().min_by_key(|(_, input)| input.used).map_or(0, |(index, _)| index);
        let gone = self.inputs[oldest].party;
        std::mem::swap(&mut self.inputs[oldest], &mut input);
        self.inputs[oldest].inherit(input);
        if self.inputs.iter().all(|input| input.party != gone) {
            self.outputs.retain(|output| !output.is_for(gone));
        }
        oldest
    }

    fn party_of(&mut self, key: &InputKey) -> u32 {
        let listeners = self.outputs.iter().filter_map(|output| output.listener.as_ref());
        if let Some((_, party)) = listeners.into_iter().find(|(peer, _)| key.peer.as_ref() == Some(peer)) {
            return *party;
        }
        self.parties = self.parties.wrapping_add(1);
        if let Some(peer) = key.peer.clone().filter(|_| self.config.mix_minus) {
            if self.outputs.len() >= Self::MAX_INPUTS {
                // One whose streams have ended, if nobody said that it left.
                let is_silent = |output: &Output| self.inputs.iter().all(|input| !output.is_for(input.party));
                self.outputs.remove(self.outputs.iter().position(is_silent).unwrap_or(0));
            }
            self.outputs.push(Output::new(Some((peer, self.parties))));
        }
        self.parties
    }

    fn gain_of(&self, key: &InputKey) -> f32 {
        key.name().and_then(|name| self.config.gains.get(name)).copied().unwrap_or(1.0)
    }

    fn is_due(&self) -> bool {
        let active = || self.inputs.iter().filter(|input| input.is_active);
        let longest = active().map(Input::buffered).max().unwrap_or_default();
        let lacks = active().any(|input| input.buffered() < self.frame);
        longest >= self.frame && (!lacks || self.format.time(longest as u64) > self.config.max_wait)
    }

    fn mix(&mut self, out: &mut Emitter<'_>) -> Result<(), AudioNodeError> {
        self.sum.clear();
        for input in self.inputs.iter_mut().filter(|input| input.sounds()) {
            input.render(&mut self.voice);
            self.sum.add(&self.voice, input.party);
            if let Some(output) = self.outputs.iter_mut().find(|output| output.is_for(input.party)) {
                output.leave_out(&self.voice);
            }
        }
        let timestamp = self.format.time(self.position);
        for output in &mut self.outputs {
            let samples = output.take(&self.sum, self.format);
            let frame =
                AudioFrame::new(samples, self.config.sample_rate, self.config.channels)?.with_timestamp(timestamp);
            match &output.listener {
                Some((peer, _)) => out.emit_with(frame, "peer", peer.as_str()),
                // It is nobody's in particular, whoever's frame it was that made it due.
                None => out.emit_without(frame, "peer"),
            }
        }
        self.position += self.frame as u64;
        Ok(())
    }

    fn obey(&mut self, message: &ControlMessage) {
        let has_left = &*message.message_type == "peer_left";
        if !has_left && &*message.message_type != "stream_ended" {
            return;
        }
        let Some(peer) = message.payload["peer"].as_str() else { return };
        let stream_id = message.payload["stream_id"].as_str().filter(|_| !has_left);
        for input in &mut self.inputs {
            let is_meant = stream_id.is_none_or(|id| input.key.stream_id.as_deref() == Some(id));
            if is_meant && input.key.peer.as_deref() == Some(peer) {
                input.end();
            }
        }
        if has_left {
            self.outputs.retain(|output| output.listener.as_ref().is_none_or(|(listener, _)| *listener != peer));
        }
    }
}

impl Node for AudioMixer {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Audio { frame } => self.take(&[frame], out)?,
            RuntimeData::AudioMix { inputs, .. } => self.take(&inputs, out)?,
            other => {
                if let RuntimeData::Control(message) = &other {
                    self.obey(message);
                }
                out.emit(other);
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        for input in self.inputs.iter_mut().filter(|input| input.is_active) {
            input.flush()?;
        }
        while self.inputs.iter().any(Input::sounds) {
            self.mix(out)?;
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(new) = params::config(params) else { return false };
        let movable = MixerConfig { gains: self.config.gains.clone(), max_wait: self.config.max_wait, ..new.clone() };
        if movable != self.config {
            return false;
        }
        self.config = new;
        for index in 0..self.inputs.len() {
            let gain = self.gain_of(&self.inputs[index].key);
            self.inputs[index].set_gain(gain);
        }
        true
    }
}

impl std::fmt::Debug for AudioMixer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioMixer")
            .field("config", &self.config)
            .field("inputs", &self.inputs.len())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
