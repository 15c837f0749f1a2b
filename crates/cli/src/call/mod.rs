//! `remotemedia call`.

mod audio;
mod card;
mod clip;
mod recording;
mod report;
mod video;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Error, Result, bail};
use clap::ValueEnum;
use remotemedia_webrtc::{
    DataChannelMessage, PeerId, TransportEvent, TransportEvents, VideoCodec, WebRtcTransport, WebRtcTransportConfig,
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{self, Receiver},
    task::JoinSet,
};

use self::{
    audio::{Microphone, WavRecorder},
    recording::{Failures, is_same},
    report::Tally,
    video::{Camera, Y4mRecorder},
};
use crate::{
    arguments::name,
    failure::{UsageError, in_words, whole, with_hint},
    output::{no_video, say, server_failed},
    shutdown,
};

/// Take part in a call, with files for camera and microphone or without.
///
/// What no file is given for is a test card or a tone. It ends after --duration, when every file has been played, when the
/// other side leaves, or with Ctrl-C, and then prints what it measured. It fails if whom it calls did not answer until then, or
/// if a file could not be played or recorded to the end: the call goes on meanwhile.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    remotemedia call --peer-id alice --to remotemedia --duration 10\n  \
    remotemedia call --signaling ws://localhost:8080 --peer-id bob --record-audio heard.wav\n  \
    remotemedia call --peer-id carol --to bob --audio voice.wav --video clip.y4m --json")]
pub(crate) struct Args {
    /// The signaling server.
    #[arg(long, value_name = "URL", default_value = "ws://localhost:8080")]
    signaling: String,
    /// This participant's name.
    #[arg(long, value_name = "ME", value_parser = name)]
    peer_id: String,
    /// Whom to call. Without it, waits for a caller.
    #[arg(long, value_name = "PEER", value_parser = name)]
    to: Option<String>,
    /// The room to meet in.
    #[arg(long, default_value = "default", value_parser = name)]
    room: String,
    /// What to say: a WAV file.
    #[arg(long, value_name = "IN.wav")]
    audio: Option<PathBuf>,
    /// What to show: a Y4M file with 8 bits a sample in 4:2:0.
    #[arg(long, value_name = "IN.y4m")]
    video: Option<PathBuf>,
    /// The size of the test card: even sides from 16 to 3840, and no more than 3840x2160 pixels in all.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = size, default_value = "640x360", conflicts_with = "video")]
    size: (u32, u32),
    /// Records what the first peer says.
    #[arg(long, value_name = "OUT.wav")]
    record_audio: Option<PathBuf>,
    /// Records what the first peer shows, 30 pictures a second of the size of its first one.
    #[arg(long, value_name = "OUT.y4m")]
    record_video: Option<PathBuf>,
    /// The preferred video codec. Default: VP9 if it is built.
    #[arg(long, ignore_case = true)]
    codec: Option<CodecName>,
    /// Takes no other video codec: a peer that lacks it gets sound and messages alone.
    #[arg(long)]
    no_fallback: bool,
    /// Ends the call after this many seconds.
    #[arg(long, value_name = "SECS", value_parser = seconds, allow_negative_numbers = true)]
    duration: Option<Duration>,
    /// A text to send to each peer over the data channel. May be given several times.
    #[arg(long, value_name = "TEXT")]
    message: Vec<String>,
    /// Print one JSON object a line; the last has the figures, or what failed as `error`.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum CodecName {
    Vp8,
    Vp9,
    H264,
}

/// From 0.1 s to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("give a number of seconds from 0.1 to 86400".to_owned()),
    }
}

/// Width and height, as [`Args::size`] says.
fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (16..=3_840).contains(side) && side % 2 == 0);
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| Some((side(width)?, side(height)?)))
        .filter(|(width, height)| width * height <= 3_840 * 2_160)
        .ok_or_else(|| {
            "give width and height, such as 1280x720: both even, from 16 to 3840, and no more than 3840x2160 pixels"
                .to_owned()
        })
}

/// How long what was handed over may take to be sent: a transport holds 200 ms of sound.
const REST: Duration = Duration::from_millis(400);

/// Files that can fail: two that are played and two that are recorded.
const FILES: usize = 4;

pub(crate) async fn run(args: Args) -> Result<()> {
    check(&args)?;
    // Files are opened first: a wrong name is better learned before somebody is called.
    let microphone = Microphone::open(args.audio.as_deref())?;
    let camera = Camera::open(args.video.as_deref(), args.size)?;
    let (failures, mut failed) = mpsc::channel(FILES);
    let recorders = Recorders::create(&args, &failures)?;
    let stop = shutdown::listen()?;
    let transport = WebRtcTransport::new(config(&args, camera.framerate())).map_err(with_hint)?;
    let mut events = transport.events();
    let tally = Tally::new();
    let call = Call { transport: transport.clone(), tally: Arc::clone(&tally), args: &args, failures };
    let mut first_failure = None;
    let result = tokio::select! {
        result = call.hold(&mut events, microphone, camera, &recorders, (&mut failed, &mut first_failure)) => result,
        () = over(args.duration) => Ok(()),
        () = stop => Ok(()),
    };
    let figures = tally.figures(&transport).await;
    transport.shutdown().await.map_err(with_hint)?;
    recorders.finish();
    while let Ok(error) = failed.try_recv() {
        match first_failure {
            // It is told as the reason of the failure.
            None => first_failure = Some(error),
            Some(_) => call.note_failure(error, &mut first_failure)?,
        }
    }
    result?;
    let text = serde_json::to_string_pretty(&figures)?;
    say(args.json, &figures, &text)?;
    match (first_failure, &args.to) {
        (Some(error), _) => Err(error),
        (None, Some(peer)) if figures["peers"].get(peer).is_none() => {
            bail!(
                "{peer} did not answer until the call ended: see whether it and the server run, and give it longer with --duration"
            )
        }
        _ => Ok(()),
    }
}

/// Refuses to call oneself, and to record over what is played, or twice into one file.
fn check(args: &Args) -> Result<(), UsageError> {
    if args.to.as_ref() == Some(&args.peer_id) {
        return Err(UsageError(format!("--to and --peer-id are both {}: call somebody else", args.peer_id)));
    }
    let played = [("--audio", &args.audio), ("--video", &args.video)];
    let recorded = [("--record-audio", &args.record_audio), ("--record-video", &args.record_video)];
    for (n, (argument, path)) in recorded.iter().enumerate() {
        let Some(path) = path else { continue };
        for (other, known) in played.iter().chain(&recorded[..n]) {
            if known.as_ref().is_some_and(|known| is_same(known, path)) {
                let path = path.display();
                let text = format!("{argument} and {other} name the same file, {path}: record into another");
                return Err(UsageError(text));
            }
        }
    }
    Ok(())
}

fn config(args: &Args, framerate: u32) -> WebRtcTransportConfig {
    let default = WebRtcTransportConfig::default();
    let codec = match args.codec {
        Some(CodecName::Vp8) => VideoCodec::vp8(),
        Some(CodecName::Vp9) => VideoCodec::vp9(),
        Some(CodecName::H264) => VideoCodec::h264(),
        None => default.video_codec.clone(),
    };
    WebRtcTransportConfig {
        signaling_url: args.signaling.clone(),
        peer_id: args.peer_id.clone(),
        room: args.room.clone(),
        stun_servers: vec![],
        video_codec: codec.framerate(framerate),
        video_fallback: !args.no_fallback,
        ..default
    }
}

async fn over(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

struct Recorders {
    audio: Option<WavRecorder>,
    video: Option<Y4mRecorder>,
}

impl Recorders {
    fn create(args: &Args, failures: &Failures) -> Result<Self> {
        let wav = args.record_audio.as_deref().map(|path| WavRecorder::wav(path, failures.clone()));
        let y4m = args.record_video.as_deref().map(|path| Y4mRecorder::y4m(path, failures.clone()));
        Ok(Self { audio: wav.transpose()?, video: y4m.transpose()? })
    }

    fn finish(self) {
        if let Some(wav) = self.audio {
            wav.finish();
        }
        if let Some(y4m) = self.video {
            y4m.finish();
        }
    }
}

struct Call<'a> {
    transport: WebRtcTransport,
    tally: Arc<Tally>,
    args: &'a Args,
    failures: Failures,
}

impl Call<'_> {
    /// Calls or waits, and returns when everything has been played or everybody has left.
    async fn hold(
        &self,
        events: &mut TransportEvents,
        microphone: Microphone,
        camera: Camera,
        recorders: &Recorders,
        (failed, first_failure): (&mut Receiver<Error>, &mut Option<Error>),
    ) -> Result<()> {
        self.transport.start().await.map_err(with_hint)?;
        if let Some(peer) = &self.args.to {
            self.transport.connect_peer(peer).await.map_err(with_hint)?;
        }
        let mut tasks = JoinSet::new();
        let (mut sending, mut endless) = (JoinSet::new(), JoinSet::new());
        let mut signaling = true;
        let (mut microphone, mut camera) = (Some(microphone), Some(camera));
        let mut recorded = false;
        let mut present: Vec<PeerId> = Vec::new();
        // A connection's figures go with it.
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(TransportEvent::PeerConnected { peer }) => {
                        let object = json!({"event": "peer_connected", "peer": peer.as_str()});
                        say(self.args.json, &object, &format!("{peer} is here"))?;
                        self.tally.sample(&self.transport).await;
                        // The recorders are for the first.
                        self.listen(&mut tasks, &peer, (!std::mem::replace(&mut recorded, true)).then_some(recorders));
                        present.push(peer);
                        // Played from the moment that somebody hears it.
                        if let Some(microphone) = microphone.take() {
                            let tasks = if microphone.ends() { &mut sending } else { &mut endless };
                            tasks.spawn(microphone.play(self.transport.clone(), Arc::clone(&self.tally), self.failures.clone()));
                        }
                        if let Some(camera) = camera.take() {
                            let tasks = if camera.ends() { &mut sending } else { &mut endless };
                            tasks.spawn(camera.play(self.transport.clone(), Arc::clone(&self.tally), self.failures.clone()));
                        }
                    }
                    Some(TransportEvent::VideoUnavailable { peer, ours, theirs }) => {
                        self.warn(no_video(&peer, &ours, &theirs))?;
                    }
                    Some(TransportEvent::IceServerFailed { peer, server }) => self.warn(server_failed(&peer, &server))?,
                    Some(TransportEvent::PeerDisconnected { peer, reason }) => {
                        let object = json!({"event": "peer_disconnected", "peer": peer.as_str(), "reason": reason.to_string()});
                        say(self.args.json, &object, &format!("{peer} has gone ({reason})"))?;
                        present.retain(|known| *known != peer);
                        if present.is_empty() {
                            return Ok(());
                        }
                    }
                    Some(TransportEvent::PeerReconnecting { peer }) => {
                        let object = json!({"event": "peer_reconnecting", "peer": peer.as_str()});
                        self.warn((object, format!("the path to {peer} broke; another one is looked for")))?;
                    }
                    Some(TransportEvent::PeerReconnected { peer }) => {
                        let object = json!({"event": "peer_reconnected", "peer": peer.as_str()});
                        self.warn((object, format!("there is a path to {peer} again")))?;
                    }
                    Some(TransportEvent::SignalingState { connected }) if connected != signaling => {
                        signaling = connected;
                        let text = if connected {
                            "the signaling server is there again"
                        } else {
                            "the signaling server is gone; it is looked for, and the call goes on meanwhile"
                        };
                        self.warn((json!({"event": "signaling", "connected": connected}), text.to_owned()))?;
                    }
                    Some(TransportEvent::PeerFailed { peer, report }) => {
                        let text = format!("no connection to {peer}: {}", report.summary());
                        if self.args.to.as_deref() == Some(peer.as_str()) {
                            bail!(text);
                        }
                        // Somebody else may call.
                        self.warn((json!({"event": "peer_failed", "peer": peer.as_str(), "report": report.summary()}), text))?;
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                _ = every_second.tick() => self.tally.sample(&self.transport).await,
                Some(error) = failed.recv() => self.note_failure(error, first_failure)?,
                Some(played) = sending.join_next() => {
                    played??;
                    if sending.is_empty() {
                        tokio::time::sleep(REST).await;
                        return Ok(());
                    }
                }
                Some(played) = endless.join_next() => played??,
                message = self.transport.recv_data_channel_message() => {
                    let Some((peer, message)) = message.map_err(with_hint)? else { return Ok(()) };
                    self.tally.message_received(&peer);
                    let (object, text) = describe(&peer, &message);
                    say(self.args.json, &object, &text)?;
                }
            }
        }
    }

    /// Tells at once that a file is not played or recorded any more. The first of these is what the program fails with.
    fn note_failure(&self, error: Error, first: &mut Option<Error>) -> io::Result<()> {
        let text = whole(&*error);
        first.get_or_insert(error);
        self.warn((json!({"event": "file_failed", "error": text}), text))
    }

    /// Tells what is not as it should be.
    fn warn(&self, (object, text): (Value, String)) -> io::Result<()> {
        if self.args.json {
            return say(true, &object, &text);
        }
        tracing::warn!("{text}");
        Ok(())
    }

    fn listen(&self, tasks: &mut JoinSet<()>, peer: &PeerId, recorders: Option<&Recorders>) {
        let wav = recorders.and_then(|recorders| recorders.audio.as_ref()).map(WavRecorder::input);
        let y4m = recorders.and_then(|recorders| recorders.video.as_ref()).map(Y4mRecorder::input);
        let (transport, tally, id) = (self.transport.clone(), Arc::clone(&self.tally), peer.clone());
        tasks.spawn(async move {
            while let Ok(Some(frame)) = transport.recv_audio(&id).await {
                tally.heard(&id, &frame);
                if let Some(wav) = &wav {
                    wav.push(frame);
                }
            }
        });
        let (transport, tally, id) = (self.transport.clone(), Arc::clone(&self.tally), peer.clone());
        tasks.spawn(async move {
            while let Ok(Some(frame)) = transport.recv_video(&id).await {
                tally.seen(&id, &frame, tokio::time::Instant::now());
                if let Some(y4m) = &y4m {
                    y4m.push((std::time::Instant::now(), frame));
                }
            }
        });
        let (transport, tally, id) = (self.transport.clone(), Arc::clone(&self.tally), peer.clone());
        let messages = self.args.message.clone();
        tasks.spawn(async move {
            for payload in messages {
                match transport.send_data_channel_message(&id, &DataChannelMessage::Text { payload }).await {
                    Ok(()) => tally.message_sent(&id),
                    Err(error) => tracing::warn!("a message was not sent: {}", in_words(&error)),
                }
            }
        });
    }
}

fn describe(peer: &PeerId, message: &DataChannelMessage) -> (serde_json::Value, String) {
    let peer = peer.as_str();
    match message {
        DataChannelMessage::Text { payload } => {
            (json!({"event": "message", "peer": peer, "text": payload}), format!("{peer}: {payload}"))
        }
        DataChannelMessage::Json { payload } => {
            (json!({"event": "message", "peer": peer, "json": payload}), format!("{peer}: {payload}"))
        }
        DataChannelMessage::Binary { payload } => {
            let text = format!("{peer}: {} bytes", payload.len());
            (json!({"event": "message", "peer": peer, "bytes": payload.len()}), text)
        }
        _ => (json!({"event": "message", "peer": peer}), format!("{peer}: a message of another kind")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_test_card_is_as_small_as_16_pixels_and_as_large_as_decoders_take() {
        for good in [(16, 16), (3_840, 2_160), (2_160, 3_840)] {
            assert_eq!(size(&format!("{}x{}", good.0, good.1)), Ok(good));
        }
        for bad in ["14x16", "3842x16", "3840x2162", "64", "64x", "-64x64", "64x64x64"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_codec_is_known_in_capitals_and_without() {
        for (typed, codec) in [("vp8", "VP8"), ("Vp9", "VP9"), ("VP9", "VP9"), ("h264", "H264"), ("H264", "H264")] {
            let line = Line::try_parse_from(["call", "--peer-id", "alice", "--codec", typed]).unwrap();
            assert_eq!(config(&line.args, 30).video_codec.codec().to_string(), codec, "{typed}");
        }
        assert!(Line::try_parse_from(["call", "--peer-id", "alice", "--codec", "av1"]).is_err());
    }
}
