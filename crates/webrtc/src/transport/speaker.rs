use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use remotemedia_media::{AudioFrame, MediaKind, PeerId};

use super::WebRtcTransport;
use crate::{
    engine::{Audience, Voice},
    error::{Result, WebRtcError},
    route::Target,
};

/// What a speaker takes ahead of real time.
const CAPACITY: Duration = Duration::from_secs(60);

/// How long a peer may take to say what it has heard: its playout has to come to the end first.
const PATIENCE: Duration = Duration::from_millis(750);

/// Says things to peers, and can be interrupted: the voice of an agent, say, that stops when somebody speaks.
///
/// It takes audio as fast as it is made, up to 60 s ahead, and sends it in real time. Clones are the same speaker; when the
/// last one is dropped, what it has not said yet is dropped with it.
///
/// ```no_run
/// use remotemedia_webrtc::{AudioFrame, Target, WebRtcTransport};
///
/// # async fn example(transport: WebRtcTransport, answer: Vec<AudioFrame>) -> Result<(), remotemedia_webrtc::WebRtcError> {
/// let speaker = transport.speaker(Target::peer("caller")?)?;
/// for frame in answer {
///     speaker.play(frame).await;
/// }
/// // The caller begins to speak.
/// let interruption = speaker.interrupt().await;
/// println!("of the answer the caller has heard {:?}", interruption.heard("caller"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Speaker {
    voices: Arc<[Voice]>,
}

/// What became of what a speaker said until it was interrupted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interruption {
    /// What each connected peer has heard, or will have heard when what is on its way has arrived. One that was sent nothing, since
    /// it came later or was sent other audio all the while, has heard nothing.
    pub peers: BTreeMap<PeerId, Heard>,
    /// How much was dropped without having been sent, of what had been taken.
    pub dropped: Duration,
}

/// How much of what was said a peer has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heard {
    /// Since the speaker was made or last interrupted. Pauses in which nothing was said do not count.
    pub duration: Duration,
    /// Whether the peer told by how far it played out, to within a frame of 20 ms. Only a peer of this library can, and only
    /// while somebody there listens; otherwise this is what was sent to it.
    pub is_measured: bool,
}

impl Interruption {
    /// How much `peer` has heard; nothing if it was not there.
    pub fn heard(&self, peer: &str) -> Duration {
        self.peers.get(peer).map_or(Duration::ZERO, |heard| heard.duration)
    }
}

impl WebRtcTransport {
    /// A speaker to `target`. Like other media that is sent to one peer it takes precedence over
    /// [`WebRtcTransport::broadcast`]; two that speak to one peer at the same time get in each other's way.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`], [`WebRtcError::Disabled`] if the configuration has no audio.
    pub fn speaker(&self, target: Target) -> Result<Speaker> {
        let running = self.running()?;
        let audiences = match target {
            Target::All => vec![Audience::All],
            Target::Peers(peers) => peers.into_iter().map(Audience::Peer).collect(),
        };
        let voice = |audience| {
            running.engine.sending.voice(audience, CAPACITY).ok_or(WebRtcError::Disabled { field: "enable_audio" })
        };
        let voices = audiences.into_iter().map(voice).collect::<Result<Vec<_>>>()?;
        Ok(Speaker { voices: voices.into() })
    }

    /// Sends no more media of this kind to anybody, whatever is given to it, until [`WebRtcTransport::unmute`], also after a
    /// shutdown and another start. Sound fades out within 20 ms.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`].
    pub fn mute(&self, kind: MediaKind) -> Result<()> {
        self.set_muted(kind, true)
    }

    /// Sends media of this kind again. Pictures begin with a keyframe.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`].
    pub fn unmute(&self, kind: MediaKind) -> Result<()> {
        self.set_muted(kind, false)
    }

    fn set_muted(&self, kind: MediaKind, muted: bool) -> Result<()> {
        // Locked first: a transport that is started anew meanwhile takes over what is kept here.
        let mut live = self.inner.live.lock();
        let running = self.running()?;
        running.engine.sending.set_muted(kind, muted);
        live.keep_muted(kind, muted);
        Ok(())
    }

    /// Whether media of this kind is muted.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`].
    pub fn is_muted(&self, kind: MediaKind) -> Result<bool> {
        Ok(self.running()?.engine.sending.is_muted(kind))
    }
}

impl Speaker {
    /// Says `audio`, of any rate, channel count and length, after what it was given before. Returns as soon as there is room
    /// for it among the 60 s that wait at most; interrupted while it waits, it is dropped. Cancelled while it waits, it may have
    /// been taken for some of several peers. A peer that is not there hears nothing of it.
    pub async fn play(&self, audio: impl Into<Arc<AudioFrame>>) {
        let frame = audio.into();
        join_all(self.voices.iter().map(|voice| voice.push(Arc::clone(&frame)))).await;
    }

    /// How much waits to be said.
    pub fn queued(&self) -> Duration {
        self.voices.iter().map(Voice::queued).max().unwrap_or_default()
    }

    /// Returns once everything that was given to [`Speaker::play`] before has been said or dropped, to the last sample. What is
    /// given meanwhile goes on being said.
    pub async fn finished(&self) {
        join_all(self.voices.iter().map(Voice::drained)).await;
    }

    /// Stops at once, in a fade-out of 5 ms, drops everything that waits, and answers what each peer has heard. What a peer
    /// of this library has heard is known when its playout has come to the end, some tens of milliseconds later; whether
    /// the answer is awaited or not, the speaker is silent from the first poll on, and can be given other things to say.
    pub async fn interrupt(&self) -> Interruption {
        let dropped = self.queued();
        let listened = join_all(self.voices.iter().map(|voice| voice.interrupt(PATIENCE))).await;
        let heard = |listened: crate::engine::Listened| {
            (listened.peer, Heard { duration: listened.heard, is_measured: listened.told })
        };
        Interruption { peers: listened.into_iter().flatten().map(heard).collect(), dropped }
    }
}
