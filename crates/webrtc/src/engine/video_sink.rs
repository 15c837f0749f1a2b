//! One peer's incoming video: packets to pictures.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use remotemedia_codecs::{CodecError, VideoDecoder, VideoDecoderSettings, video_decoder};
use remotemedia_jitter::{VideoBufferConfig, VideoFrameBuffer};
use remotemedia_media::{Codec, EncodedFrame, MediaKind, VideoFrame};
use remotemedia_mesh::{IncomingTrack, TrackItem};
use remotemedia_rtp::{FrameAssembler, ReceivedPacket};
use tokio::time::{Instant, sleep_until};

use super::{
    executor::{Executor, JobLost},
    inbox::Inbox,
    media_time::{MediaPosition, MediaTime},
    origin::Origin,
};

/// Pictures that may wait for a slow decoder, a second's worth. Beyond it the oldest is dropped, and a keyframe asked for.
const BACKLOG: usize = 30;

/// Until a retransmission of a lost packet is asked for, and what a busy machine adds to its way.
const RETRANSMISSION_SLACK: Duration = Duration::from_millis(50);

type Decoding = Pin<Box<dyn Future<Output = Result<Decoded, JobLost>> + Send>>;

/// What comes back from a decode job: the decoder, the frame it was given and what it made of it.
struct Decoded {
    decoder: Box<dyn VideoDecoder>,
    frame: EncodedFrame,
    picture: Result<Option<VideoFrame>, CodecError>,
}

/// Reads `track` until it ends. Pictures are decoded once somebody pulls them.
pub(super) async fn run(mut track: IncomingTrack, origin: Origin, inbox: Arc<Inbox>, executor: Executor) {
    let mut time = MediaTime::default();
    loop {
        tokio::select! {
            biased;
            () = inbox.video.wait_for_reader() => break,
            item = track.recv() => match item {
                Some(TrackItem::SenderReport { ntp, rtp }) => time.on_sender_report(ntp, rtp),
                Some(_) => {}
                None => return,
            },
        }
    }
    track.request_keyframe();
    let position = MediaPosition::default();
    let mut sink = VideoSink { origin, inbox, executor, time, position, stage: None, decoding: None };
    sink.run(&mut track).await;
}

struct VideoSink {
    origin: Origin,
    inbox: Arc<Inbox>,
    executor: Executor,
    time: MediaTime,
    position: MediaPosition,
    stage: Option<Stage>,
    /// The one job of this track, whatever codec it is of.
    decoding: Option<Decoding>,
}

/// Assembly and decoding in one codec; a peer that switches gets a new one.
struct Stage {
    codec: Codec,
    assembler: FrameAssembler,
    buffer: VideoFrameBuffer,
    /// Out while a job has it.
    decoder: Option<Box<dyn VideoDecoder>>,
}

impl VideoSink {
    async fn run(&mut self, track: &mut IncomingTrack) {
        loop {
            if self.decoding.is_none() {
                self.decoding = self.stage.as_mut().and_then(|stage| stage.begin_decoding(&self.executor));
            }
            let deadline = self.stage.as_ref().and_then(Stage::deadline);
            tokio::select! {
                biased;
                done = until_decoded(self.decoding.as_mut()) => self.on_decoded(done, track),
                item = track.recv() => match item {
                    Some(TrackItem::Packet { codec, packet }) => {
                        let stage = self.stage(codec, track);
                        if let Some(rtt) = track.round_trip_time() {
                            stage.wait_for_retransmissions(rtt);
                        }
                        stage.take(packet);
                    }
                    Some(TrackItem::SenderReport { ntp, rtp }) => self.time.on_sender_report(ntp, rtp),
                    Some(_) => {}
                    None => return,
                },
                () = until(deadline) => {}
            }
            if self.stage.as_mut().is_some_and(Stage::wants_keyframe) {
                track.request_keyframe();
            }
        }
    }

    /// The stage for `codec`, new if the peer switched to it.
    fn stage(&mut self, codec: Codec, track: &IncomingTrack) -> &mut Stage {
        if self.stage.as_ref().is_some_and(|s| s.codec != codec) {
            self.stage = None;
            track.request_keyframe();
        }
        self.stage.get_or_insert_with(|| Stage::new(codec))
    }

    fn on_decoded(&mut self, done: Result<Decoded, JobLost>, track: &IncomingTrack) {
        self.decoding = None;
        let Some(stage) = &mut self.stage else { return };
        let Ok(Decoded { decoder, frame, picture }) = done else {
            // The decoder went down with its job: the next frame gets a new one.
            stage.buffer.decoder_failed(now());
            track.request_keyframe();
            return;
        };
        if frame.codec != stage.codec {
            // The peer switched meanwhile.
            return;
        }
        stage.decoder = Some(decoder);
        match picture {
            Ok(Some(mut picture)) => {
                picture.timestamp = Some(self.position.of(frame.timestamp, frame.codec.clock_rate()));
                picture.capture_time = self.time.capture_time(frame.timestamp, frame.codec.clock_rate());
                self.origin.mark_video(&mut picture);
                self.inbox.video.push(Arc::new(picture));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(peer = %self.origin.peer, %error, "a picture could not be decoded");
                stage.buffer.decoder_failed(now());
            }
        }
    }
}

impl Stage {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            assembler: FrameAssembler::new(codec),
            buffer: VideoFrameBuffer::new(VideoBufferConfig { max_frames: BACKLOG, ..Default::default() }),
            decoder: None,
        }
    }

    /// A keyframe is asked for only once a retransmission would be there: it costs the sender ten pictures' worth.
    fn wait_for_retransmissions(&mut self, rtt: Duration) {
        let VideoBufferConfig { patience, request_interval, .. } = VideoBufferConfig::default();
        self.buffer.set_timing(patience.max(rtt * 3 / 2 + RETRANSMISSION_SLACK), request_interval.max(rtt));
    }

    fn take(&mut self, packet: ReceivedPacket) {
        let now = packet.arrival;
        self.assembler.insert(packet);
        while let Some(frame) = self.assembler.pop() {
            self.buffer.insert(frame, now);
        }
        self.buffer.set_source_stuck(self.assembler.gap().map(|gap| gap.since));
    }

    /// Hands the next frame to the decoder.
    fn begin_decoding(&mut self, executor: &Executor) -> Option<Decoding> {
        let frame = self.buffer.pop(now())?;
        let decoder = match self.decoder.take() {
            Some(decoder) => Ok(decoder),
            None => video_decoder(self.codec, &VideoDecoderSettings::default()),
        };
        match decoder {
            Ok(mut decoder) => Some(Box::pin(executor.run(MediaKind::Video, move || {
                let picture = decoder.decode(&frame);
                Decoded { decoder, frame, picture }
            }))),
            Err(error) => {
                tracing::error!(codec = %self.codec, %error, "no video decoder");
                None
            }
        }
    }

    /// When a keyframe will have to be asked for, if nothing changes.
    fn deadline(&self) -> Option<Instant> {
        self.buffer.next_request().map(Instant::from_std)
    }

    fn wants_keyframe(&mut self) -> bool {
        self.buffer.take_keyframe_request(now())
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn until_decoded(decoding: Option<&mut Decoding>) -> Result<Decoded, JobLost> {
    match decoding {
        Some(decoding) => decoding.await,
        None => std::future::pending().await,
    }
}
