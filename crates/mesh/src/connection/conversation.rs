use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use remotemedia_media::MediaKind;
use tokio::{sync::mpsc, time::Instant};
use webrtc::data_channel::DataChannel;

use super::{
    Note,
    actor::{Actor, End},
    build::MAX_PLAIN_MESSAGE,
    channels::{self, Dialect, MessagePath},
    control::{CONTROL_LABEL, Control},
    framing,
    link::{Channel, Link},
    peer::PathState,
};
use crate::{DataChannelMode, DisconnectReason, Feedback, MAX_MESSAGE_SIZE, stream_key::StreamKey};

/// How long after the control channel the other channels may open.
const SETTLING: Duration = Duration::from_millis(100);

/// The data channels: which there are, what they are for, and what is said on the control channel.
impl Actor {
    /// Takes over the channels that our own offer opens.
    pub(super) fn adopt_own_channels(&mut self, link: &mut Link, messages: Option<Arc<dyn DataChannel>>) {
        if let Some(control) = &link.control {
            let read = channels::read_control(control.clone(), self.notes_sender.clone(), link.epoch);
            self.shared.tasks.spawn(read);
        }
        // Read from the moment it opens: whether in chunks is known by then.
        if let Some(channel) = messages {
            self.channels_seen += 1;
            link.channels.push(Channel { number: self.channels_seen, channel, open: false, read: false });
        }
    }

    /// The peer opened a channel.
    pub(super) async fn on_channel(&mut self, channel: Arc<dyn DataChannel>) {
        let label = channel.label().await.unwrap_or_default();
        let Some(link) = &mut self.link else { return };
        if label == CONTROL_LABEL && link.is_remotemedia() {
            if link.control.is_none() {
                link.control = Some(channel.clone());
                let read = channels::read_control(channel, self.notes_sender.clone(), link.epoch);
                self.shared.tasks.spawn(read);
            }
            return;
        }
        self.channels_seen += 1;
        let number = self.channels_seen;
        link.channels.push(Channel { number, channel, open: true, read: false });
        self.read_channels();
        self.publish_path();
    }

    /// Starts reading the channels that nobody reads yet, once it is known how the peer speaks.
    pub(super) fn read_channels(&mut self) {
        let Some(link) = &mut self.link else { return };
        if link.remote.is_none() {
            return;
        }
        let dialect = if link.is_remotemedia() { Dialect::Chunked } else { Dialect::Plain };
        for channel in link.channels.iter_mut().filter(|c| !c.read) {
            channel.read = true;
            let (shared, peer, notes) = (self.shared.clone(), self.peer.clone(), self.notes_sender.clone());
            let reader = channels::Reader { channel: channel.channel.clone(), dialect, number: channel.number };
            self.shared.tasks.spawn(channels::read_messages(reader, shared, peer, notes));
        }
    }

    /// Opens the way for messages, or says that there is none.
    pub(super) fn publish_path(&mut self) {
        self.read_channels();
        let Some(link) = &mut self.link else { return };
        let Some(remote) = &link.remote else { return };
        let wanted = self.shared.config.data_channel.is_some() && !remote.no_messages;
        let Some(data) = remote.data().filter(|_| wanted) else {
            self.peer.path.send_replace(PathState::Missing);
            return;
        };
        let usable = link.channels.iter().find(|c| c.open);
        let Some(channel) = usable else {
            if link.sending_on.take().is_some() {
                self.peer.path.send_replace(PathState::Opening);
            }
            return;
        };
        if link.sending_on == Some(channel.number) {
            return;
        }
        let single = match data.max_message_size {
            Some(0) => MAX_PLAIN_MESSAGE as usize,
            Some(size) => size.min(MAX_PLAIN_MESSAGE as usize),
            None => 65_536,
        };
        let chunked = remote.remotemedia;
        let dialect = if chunked { Dialect::Chunked } else { Dialect::Plain };
        let unreliable = self.shared.config.data_channel == Some(DataChannelMode::Unreliable);
        let limit = match (chunked, unreliable) {
            (true, false) => MAX_MESSAGE_SIZE,
            (true, true) => framing::CHUNK,
            (false, _) => single,
        };
        let (queue, messages) = mpsc::channel(16);
        let (channel, number) = (channel.channel.clone(), channel.number);
        link.sending_on = Some(number);
        self.shared.tasks.spawn(channels::write_messages(channel, dialect, messages, self.peer.clone()));
        self.peer.path.send_replace(PathState::Open(MessagePath { queue, limit }));
    }

    pub(super) async fn on_note(&mut self, note: Note) -> Result<(), End> {
        match note {
            Note::ControlOpen(epoch) if epoch == self.epoch => {
                if let Some(link) = self.link.as_mut().filter(|l| l.is_remotemedia()) {
                    link.control_open = true;
                    self.peer.has_control.store(true, Relaxed);
                    self.settle_at = Some(Instant::now() + SETTLING);
                    self.heartbeat_at = Some(Instant::now());
                }
            }
            Note::Control(epoch, control) if epoch == self.epoch => return self.on_control(control).await,
            // The peer closed its end of the connection without a word.
            Note::ControlClosed(epoch) if epoch == self.epoch => {
                let ours = self.link.as_ref().is_some_and(|l| l.is_remotemedia() && l.connected);
                if ours {
                    return Err(End::Peer(DisconnectReason::Unknown));
                }
            }
            Note::ChannelOpen(number) => {
                if let Some(channel) = self.channel(number) {
                    channel.open = true;
                    self.publish_path();
                }
            }
            Note::ChannelClosed(number) => return self.on_channel_closed(number).await,
            Note::IceServerFailed(epoch) if epoch == self.epoch => self.note_ice_servers(),
            _ => {}
        }
        Ok(())
    }

    fn channel(&mut self, number: u64) -> Option<&mut Channel> {
        self.link.as_mut()?.channels.iter_mut().find(|c| c.number == number)
    }

    async fn on_channel_closed(&mut self, number: u64) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let before = link.channels.len();
        link.channels.retain(|c| c.number != number);
        if link.channels.len() == before {
            return Ok(());
        }
        let last = link.channels.is_empty();
        let plain = !link.is_remotemedia();
        self.publish_path();
        // A browser that closes its connection closes all its channels; it may also just be done with them.
        if last && plain { self.on_hint().await } else { Ok(()) }
    }

    async fn on_control(&mut self, control: Control) -> Result<(), End> {
        match control {
            Control::Ping(number) => self.tell(Control::Pong(number)).await,
            Control::Pong(number) => {
                if let Some((_, sent)) = self.last_ping.filter(|(n, _)| *n == number) {
                    self.note_rtt(sent.elapsed());
                }
            }
            Control::WhenPlayed(timestamp) => {
                let peer = self.peer.id.clone();
                self.shared.feedback(Feedback::PlayoutAsked { peer, timestamp });
            }
            Control::Played(timestamp) => {
                let (peer, timestamp) = (self.peer.id.clone(), timestamp - self.audio_offset());
                self.shared.feedback(Feedback::Played { peer, timestamp });
            }
            Control::Bye(reason) => return Err(End::Peer(reason)),
        }
        Ok(())
    }

    /// What is added to the timestamps of our audio on their way to this peer.
    pub(super) fn audio_offset(&self) -> u32 {
        let audio = self.link.as_ref().and_then(|link| link.out_track(&StreamKey::main(MediaKind::Audio)));
        audio.map_or(0, |track| track.identity.timestamp_offset)
    }

    pub(super) async fn ping(&mut self) {
        self.pings += 1;
        self.last_ping = Some((self.pings, Instant::now()));
        self.tell(Control::Ping(self.pings)).await;
    }

    pub(super) async fn tell(&mut self, control: Control) {
        let Some(link) = self.link.as_ref().filter(|l| l.control_open) else { return };
        let Some(channel) = &link.control else { return };
        // Never waits: a line that does not fit into a full buffer is not worth waiting for.
        if let Err(error) = channel.try_send_text(&control.line()).await {
            tracing::debug!(peer = %self.peer.id, error = %super::brief(&error), "control channel");
        }
    }

    pub(super) fn note_rtt(&self, rtt: Duration) {
        let sample = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.peer.counters.rtt_us.load(Relaxed);
        let smoothed = if before == 0 { sample } else { (before * 7 + sample) / 8 };
        self.peer.counters.rtt_us.store(smoothed.max(1), Relaxed);
    }
}
