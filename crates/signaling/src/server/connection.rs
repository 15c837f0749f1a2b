//! The task of one socket: it moves frames between the socket and the state machine.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::CapacityError,
        protocol::{CloseFrame, frame::coding},
    },
};

use super::{
    http::{Io, Upgrade},
    shared::{Frame, Opened, Shared},
};
use crate::{
    protocol::{self, CloseCode},
    state::ConnectionId,
};

type Socket = WebSocketStream<Io>;

/// How long the 101 may take to go out.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a socket that is being closed may take to read what waits for it and the close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for one that is being closed because it reads slowly.
const SLOW_CLOSE_TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an unwanted message is taken in, so that its sender gets to read why.
const MAX_DRAINED_BYTES: u64 = 64 << 20;
/// After how many messages from a socket its replies get their turn to be written. Far fewer than a queue holds: a burst
/// that came in one piece must not fill the queue of a client that reads.
const MESSAGES_IN_A_ROW: usize = 32;

pub(super) async fn run(opened: Opened, upgrade: Upgrade) {
    let abort = opened.shared.abort.clone();
    tokio::select! {
        () = abort.cancelled() => {}
        () = serve(opened, upgrade) => {}
    }
}

async fn serve(mut opened: Opened, upgrade: Upgrade) {
    let socket = match timeout(UPGRADE_TIMEOUT, upgrade.finish()).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return tracing::debug!(%error, "the upgrade failed"),
        Err(_) => return tracing::debug!("the upgrade took too long"),
    };
    let (mut sink, mut stream) = socket.split();
    let outcome = transfer(&mut opened, &mut sink, &mut stream).await;
    // From here on the machine does not know this socket, and its peer's absence is told at once.
    let closing = Arc::clone(&opened.shared.closing);
    drop(opened);
    let Some(code) = outcome else { return };
    let Ok(_slot) = closing.try_acquire() else { return };
    let Ok(mut socket) = sink.reunite(stream) else { return };
    if code == CloseCode::TryAgainLater {
        // Behind the frame that is half out, in place of those that wait.
        let closing = async {
            if socket.send(close_frame(code)).await.is_ok() {
                let _ = socket.flush().await;
            }
        };
        if timeout(SLOW_CLOSE_TIMEOUT, closing).await.is_err() {
            return;
        }
    }
    let _ = timeout(CLOSE_TIMEOUT, drain(socket.into_inner())).await;
}

/// Moves frames until the socket breaks (`None`) or the server has closed it.
async fn transfer(
    opened: &mut Opened,
    sink: &mut SplitSink<Socket, Message>,
    stream: &mut SplitStream<Socket>,
) -> Option<CloseCode> {
    let (shared, id) = (&opened.shared, opened.id);
    let mut reading = pin!(read(shared, id, stream));
    let mut writing = pin!(write(shared, id, &mut opened.queue, sink));
    // In no fixed order: a socket that sends without pause must not keep its own replies waiting.
    let code = tokio::select! {
        code = &mut opened.close => code.ok()?,
        end = &mut reading => match end {
            End::Broken => return None,
            End::Rejected(code) => {
                shared.with(|state, now| state.reject(now, id, code));
                // The machine answers through `close`, unless it has closed the socket for another reason before.
                opened.close.try_recv().ok()?
            }
        },
        result = &mut writing => {
            // The close frame is out already.
            result.ok()?;
            return (&mut opened.close).await.ok();
        }
    };
    if code != CloseCode::TryAgainLater {
        // The queue ends with the close frame.
        timeout(CLOSE_TIMEOUT, writing).await.ok()?.ok()?;
    }
    Some(code)
}

enum End {
    /// The peer closed it, or it broke.
    Broken,
    /// The peer broke the protocol.
    Rejected(CloseCode),
}

async fn read(shared: &Shared, id: ConnectionId, stream: &mut SplitStream<Socket>) -> End {
    let mut in_a_row = 0;
    while let Some(message) = stream.next().await {
        match message {
            Ok(Message::Text(text)) => {
                let parsed = protocol::parse(&text);
                let pause = shared.with(|state, now| state.message(now, id, parsed, text.len()));
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                in_a_row += 1;
                if in_a_row == MESSAGES_IN_A_ROW {
                    in_a_row = 0;
                    tokio::task::yield_now().await;
                }
            }
            Ok(Message::Pong(_)) => shared.with(|state, now| state.pong(now, id)),
            Ok(Message::Binary(_)) => return End::Rejected(CloseCode::Unsupported),
            // Pings and closes are answered below this.
            Ok(Message::Ping(_) | Message::Close(_) | Message::Frame(_)) => {}
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => return End::Rejected(CloseCode::TooBig),
            Err(Error::Utf8(_)) => return End::Rejected(CloseCode::InvalidData),
            Err(Error::Protocol(error)) => {
                tracing::debug!(%error, "a client broke the WebSocket protocol");
                return End::Rejected(CloseCode::Protocol);
            }
            Err(_) => return End::Broken,
        }
    }
    End::Broken
}

/// Writes the queue until a close frame has gone out.
async fn write(
    shared: &Shared,
    id: ConnectionId,
    queue: &mut mpsc::Receiver<Frame>,
    sink: &mut SplitSink<Socket, Message>,
) -> Result<(), Error> {
    let mut lengths = Vec::new();
    loop {
        let mut next = queue.recv().await;
        while let Some(frame) = next {
            match frame {
                Frame::Text(text) => {
                    lengths.push(text.len());
                    sink.feed(Message::text(&*text)).await?;
                }
                Frame::Ping => sink.feed(Message::Ping(Vec::new().into())).await?,
                Frame::Close(code) => {
                    sink.feed(close_frame(code)).await?;
                    return sink.flush().await;
                }
            }
            next = queue.try_recv().ok();
        }
        sink.flush().await?;
        if queue.is_closed() && queue.is_empty() {
            // The machine has closed this socket with `TryAgainLater`: `transfer` sends that.
            return std::future::pending().await;
        }
        shared.with(|state, _| lengths.drain(..).for_each(|length| state.sent(id, length)));
    }
}

/// Ends our side and takes in what the client is still sending. A socket closed with unread bytes would be reset, and
/// the reset can overtake the close frame.
async fn drain(mut io: Io) {
    if io.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut io.take(MAX_DRAINED_BYTES), &mut tokio::io::sink()).await;
    }
}

fn close_frame(code: CloseCode) -> Message {
    Message::Close(Some(CloseFrame { code: coding::CloseCode::from(code.code()), reason: code.reason().into() }))
}
