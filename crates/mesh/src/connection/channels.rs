use std::{sync::Arc, sync::atomic::Ordering::Relaxed};

use bytes::BytesMut;
use tokio::sync::{mpsc, oneshot};
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent},
    error::Error,
};

use super::{
    Note, Shared,
    control::Control,
    framing::{self, Assembler},
    peer::Peer,
};
use crate::Message;

/// A message on its way out. The channel's own task sends it, so that whoever waits may give up without cutting it.
pub(crate) struct OutMessage {
    pub(crate) message: Message,
    pub(crate) done: oneshot::Sender<Result<(), Error>>,
}

/// Where messages for a peer go now.
#[derive(Clone, Debug)]
pub(crate) struct MessagePath {
    pub(crate) queue: mpsc::Sender<OutMessage>,
    /// The largest message, in bytes.
    pub(crate) limit: usize,
}

/// How a message channel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// In chunks, between two peers of this library.
    Chunked,
    /// One SCTP message each.
    Plain,
}

/// A message channel to read.
pub(super) struct Reader {
    pub(super) channel: Arc<dyn DataChannel>,
    pub(super) dialect: Dialect,
    pub(super) number: u64,
}

/// Sends messages one after the other. Ends with the channel or when the queue's senders are gone.
pub(super) async fn write_messages(
    channel: Arc<dyn DataChannel>,
    dialect: Dialect,
    mut queue: mpsc::Receiver<OutMessage>,
    peer: Arc<Peer>,
) {
    while let Some(OutMessage { message, done }) = queue.recv().await {
        let result = write_message(&*channel, dialect, &message).await;
        if result.is_ok() {
            peer.counters.messages_sent.fetch_add(1, Relaxed);
        }
        // Nobody may be waiting any more; the message has gone all the same.
        let _ = done.send(result);
    }
}

async fn write_message(channel: &dyn DataChannel, dialect: Dialect, message: &Message) -> Result<(), Error> {
    match (dialect, message) {
        (Dialect::Chunked, message) => {
            for chunk in framing::chunks(message) {
                channel.send(chunk).await?;
            }
            Ok(())
        }
        (Dialect::Plain, Message::Text(text)) => channel.send_text(text).await,
        (Dialect::Plain, Message::Binary(bytes)) => channel.send(BytesMut::from(&bytes[..])).await,
    }
}

/// Reads a message channel into the inbox of the mesh. While that is full it stops reading, and the peer has to wait.
pub(super) async fn read_messages(reader: Reader, shared: Arc<Shared>, peer: Arc<Peer>, notes: mpsc::Sender<Note>) {
    let Reader { channel, dialect, number } = reader;
    let mut assembler = Assembler::default();
    while let Some(event) = channel.poll().await {
        let message = match event {
            DataChannelEvent::OnOpen => {
                let _ = notes.send(Note::ChannelOpen(number)).await;
                continue;
            }
            DataChannelEvent::OnMessage(message) => message,
            DataChannelEvent::OnClose => break,
            _ => continue,
        };
        let message = match dialect {
            Dialect::Chunked => assembler.push(message.data),
            Dialect::Plain if message.is_string => framing::text_message(message.data.freeze()).map(Some),
            Dialect::Plain => Ok(Some(Message::Binary(message.data.freeze()))),
        };
        match message {
            Ok(None) => {}
            Ok(Some(message)) => {
                peer.counters.messages_received.fetch_add(1, Relaxed);
                if !shared.inbox.deliver(peer.id.clone(), message, &shared.cancel).await {
                    return;
                }
            }
            Err(error) => tracing::debug!(peer = %peer.id, %error, "ignored a message"),
        }
    }
    let _ = notes.send(Note::ChannelClosed(number)).await;
}

/// Reads the control channel.
pub(super) async fn read_control(channel: Arc<dyn DataChannel>, notes: mpsc::Sender<Note>, epoch: u64) {
    while let Some(event) = channel.poll().await {
        let note = match event {
            DataChannelEvent::OnOpen => Note::ControlOpen(epoch),
            DataChannelEvent::OnMessage(message) => match Control::parse(&message.data) {
                Some(control) => Note::Control(epoch, control),
                None => continue,
            },
            DataChannelEvent::OnClose => break,
            _ => continue,
        };
        if notes.send(note).await.is_err() {
            return;
        }
    }
    let _ = notes.send(Note::ControlClosed(epoch)).await;
}
