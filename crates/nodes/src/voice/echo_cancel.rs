use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, ParamSpec, Produces},
};
use sonora::{Config, config::EchoCanceller};

use super::{
    VoiceError,
    apm::{Apm, Format, SuppressionLevel},
    blocks::Blocks,
    streams::{Key, Streams, change_frames},
};
use crate::audio::audible;

/// `EchoCancel`: takes out of a microphone what the loudspeaker plays. It is the echo canceller AEC3 of WebRTC in the port
/// `sonora`, and needs the cargo feature `voice`. Takes audio of 8 to 192 kHz, any channels and frame length; other
/// data passes unchanged.
///
/// Params: `reference` (must be given), the id of the node or pipeline input before this one that sends what the
/// loudspeaker plays, at any rate and as one stream; its audio is used up here. Audio from elsewhere is the
/// microphone. `noise_suppress`, `none` (default), `low`, `moderate`, `high` or `very_high`, what
/// [`NoiseSuppress`](super::NoiseSuppress) would take away after it. How long sound takes from the reference to the microphone
/// is found out by itself, up to about half a second. Without a reference the microphone passes with its lowest
/// frequencies cut. Each microphone of several has its own canceller, and all hear one reference.
///
/// The reference has to come before its echo and at the same pace. If it changes to another stream, that is heard once
/// the one before has been silent for a second. References of more than two channels are averaged to one.
///
/// The microphone comes out about 10 ms late under its old timestamps, and up to 10 ms more if its frames are no multiple
/// of 10 ms.
pub struct EchoCancel {
    reference: String,
    settings: Settings,
    microphones: Streams<Apm>,
    loudspeaker: Option<Loudspeaker>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    noise_suppress: Option<SuppressionLevel>,
}

/// The stream of the reference.
struct Loudspeaker {
    key: Key,
    format: Format,
    blocks: Blocks,
    /// Audio of the microphones since it was last heard, in seconds.
    silent: f64,
    mono: Vec<f32>,
}

const NAME: &str = "EchoCancel";

impl EchoCancel {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        let levels = ["none", "low", "moderate", "high", "very_high"];
        NodeType::new(NAME, |params| {
            let settings =
                Settings { noise_suppress: params.text("noise_suppress").and_then(SuppressionLevel::from_name) };
            Ok(Self { settings, ..Self::new(params.text("reference").unwrap_or_default()) })
        })
        .describe("Takes out of a microphone what the loudspeaker plays.")
        .param(
            ParamSpec::text("reference")
                .required()
                .doc("The node or pipeline input before this one that sends what the loudspeaker plays."),
        )
        .param(
            ParamSpec::choice("noise_suppress", levels)
                .default_value("none")
                .doc("How much noise is taken away as well."),
        )
        // What comes out is the microphone alone, and which of the inputs that is only its edge tells.
        .produces(Produces::SameAsInput)
        .takes(audible())
    }

    /// A canceller of what comes from the node or pipeline input `reference`.
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            settings: Settings::default(),
            microphones: Streams::default(),
            loudspeaker: None,
        }
    }

    fn play(&mut self, frame: &AudioFrame) -> Result<(), VoiceError> {
        VoiceError::check_rate(NAME, frame.sample_rate())?;
        let key = Key::of(frame, 0);
        let format = Loudspeaker::format(frame);
        if self.loudspeaker.as_ref().is_some_and(|speaker| speaker.key != key && speaker.silent < 1.0) {
            return Ok(());
        }
        let speaker = match &mut self.loudspeaker {
            Some(speaker) if speaker.key == key && speaker.format == format => speaker,
            other => other.insert(Loudspeaker { key, format, blocks: format.blocks(), silent: 0.0, mono: Vec::new() }),
        };
        speaker.silent = 0.0;
        let Loudspeaker { blocks, mono, .. } = speaker;
        let samples = if frame.channels() > 2 {
            let channels = usize::from(frame.channels());
            mono.clear();
            mono.extend(frame.samples().chunks_exact(channels).map(|all| all.iter().sum::<f32>() / channels as f32));
            mono.as_slice()
        } else {
            frame.samples()
        };
        let microphones = &mut self.microphones;
        blocks.consume(samples, |block, scratch| {
            microphones.iter_mut().try_for_each(|(_, microphone)| microphone.render(format, block, scratch))
        })
    }

    fn cancel(&mut self, frame: &mut AudioFrame, position: usize) -> Result<(), VoiceError> {
        let settings = self.settings;
        let microphone = self.microphones.entry(frame, position, || settings.canceller(frame))?;
        if !microphone.fits(frame) {
            *microphone = settings.canceller(frame)?;
        }
        microphone.capture(frame)
    }
}

impl Node for EchoCancel {
    fn process(&mut self, mut input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        if out.from() == Some(self.reference.as_str()) {
            return match input {
                RuntimeData::Audio { frame } => Ok(self.play(&frame)?),
                RuntimeData::AudioMix { .. } => Err(VoiceError::ReferenceMix.into()),
                other => {
                    out.emit(other);
                    Ok(())
                }
            };
        }
        if let (RuntimeData::Audio { frame }, Some(speaker)) = (&input, &mut self.loudspeaker) {
            speaker.silent += frame.duration().as_secs_f64();
        }
        change_frames(&mut input, |frame, position| self.cancel(frame, position))?;
        out.emit(input);
        Ok(())
    }
}

impl Settings {
    fn canceller(self, frame: &AudioFrame) -> Result<Apm, VoiceError> {
        let config = Config {
            echo_canceller: Some(EchoCanceller::default()),
            noise_suppression: self.noise_suppress.map(SuppressionLevel::config),
            ..Config::default()
        };
        Apm::new(NAME, frame, config)
    }
}

impl Loudspeaker {
    /// The format in which the cancellers are shown `frame`.
    fn format(frame: &AudioFrame) -> Format {
        let mut format = Format::of(frame);
        if frame.channels() > 2 {
            format.channels = 1;
        }
        format
    }
}
