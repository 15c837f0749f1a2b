//! What the examples share: a signaling server of their own, so that each runs by itself, and a look at what arrives. The
//! examples themselves live in the files beside this folder.

use std::time::Duration;

use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use remotemedia_webrtc::{WebRtcTransport, WebRtcTransportConfig};

/// What an example answers when it cannot go on.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A signaling server on a free port of this machine. It ends with the process.
#[derive(Clone, Debug)]
pub struct Stage {
    url: String,
}

impl Stage {
    /// Starts the server.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub async fn open() -> Result<Self, Error> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}", listener.local_addr()?);
        tokio::spawn(async move { SignalingServer::new(ServerConfig::default()).serve(listener).await });
        Ok(Self { url })
    }

    /// Starts a transport that is registered under `name`; everything else is as `config` says.
    ///
    /// # Errors
    ///
    /// If the configuration is refused or the name is taken.
    pub async fn join(&self, name: &str, config: WebRtcTransportConfig) -> Result<WebRtcTransport, Error> {
        let transport = WebRtcTransport::new(WebRtcTransportConfig {
            signaling_url: self.url.clone(),
            peer_id: name.to_owned(),
            stun_servers: vec![], // Everybody is on this machine.
            ..config
        })?;
        transport.start().await?;
        Ok(transport)
    }
}

/// How long the example is to run: the value of `--duration`, in seconds, or `default`.
///
/// # Errors
///
/// If an argument is not understood.
pub fn duration(default: Duration) -> Result<Duration, Error> {
    let mut arguments = std::env::args().skip(1);
    let mut duration = default;
    while let Some(argument) = arguments.next() {
        let value = match argument.split_once('=') {
            Some(("--duration", value)) => value.to_owned(),
            None if argument == "--duration" => arguments.next().ok_or("--duration needs a number of seconds")?,
            _ => return Err(format!("unknown argument {argument:?}: there is only --duration SECS").into()),
        };
        let seconds: f64 = value.parse().map_err(|_| format!("--duration {value:?} is no number of seconds"))?;
        duration = Duration::try_from_secs_f64(seconds)?;
    }
    Ok(duration)
}

/// The amplitude of the tone of `hertz` in `samples`, in dB of full scale: Goertzel's algorithm over windows of a tenth of a
/// second (Hann), so that playout which now and then moves by some milliseconds does not count as quiet.
pub fn tone_level(samples: &[f32], hertz: f64, sample_rate: f64) -> f64 {
    let step = std::f64::consts::TAU * hertz / sample_rate;
    let length = (sample_rate / 10.0) as usize;
    let (mut power, mut windows) = (0.0, 0.0);
    for window in samples.chunks_exact(length) {
        let (mut re, mut im, mut weights) = (0.0, 0.0, 0.0);
        for (n, sample) in window.iter().enumerate() {
            let weight = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / length as f64).cos();
            let phase = step * n as f64;
            re += weight * f64::from(*sample) * phase.cos();
            im += weight * f64::from(*sample) * phase.sin();
            weights += weight;
        }
        power += (re * re + im * im) * 4.0 / (weights * weights);
        windows += 1.0;
    }
    10.0 * (power / f64::max(windows, 1.0)).max(1e-18).log10()
}

/// By how much a sample lies beside the line through the two before it, at most: low tones make little of it, and a click as much
/// as its height.
pub fn largest_bend(samples: &[f32]) -> f32 {
    samples.windows(3).map(|three| (three[2] - 2.0 * three[1] + three[0]).abs()).fold(0.0, f32::max)
}

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExamples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_measured_beside_a_louder_one() {
        let tone =
            |hertz: f64, amplitude: f64, n: usize| amplitude * (std::f64::consts::TAU * hertz * n as f64 / 48e3).sin();
        let samples: Vec<f32> = (0..48_000).map(|n| (tone(440.0, 0.1, n) + tone(700.0, 0.5, n)) as f32).collect();
        assert!((tone_level(&samples, 440.0, 48e3) + 20.0).abs() < 0.05);
        assert!(tone_level(&samples, 550.0, 48e3) < -80.0);
    }
}
