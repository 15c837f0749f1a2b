//! Connecting and announcing, up to the reply.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{self, Message};
use url::Url;

use super::{
    Announcement, ClientConfig, ClientError,
    connect::{self, Socket},
};
use crate::protocol::{Announce, Announced, Id, PeerRecord, Reply, method, request};

pub(super) async fn register(
    config: &ClientConfig,
    url: &Url,
    announcement: Announcement,
    session_key: Option<String>,
    id: u64,
) -> Result<(Socket, Announced), ClientError> {
    let mut socket = connect::connect(config, url).await?;
    let params = parameters(config, announcement, session_key);
    let announcing = async {
        socket.send(Message::text(request(Id::Number(id), method::ANNOUNCE, &params))).await?;
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message? else { continue };
            // The server sends nothing but this reply before it.
            for reply in Reply::parse(&text).unwrap_or_default() {
                if let Reply::Response { outcome, .. } = reply {
                    return Ok(Some(outcome));
                }
            }
        }
        Ok(None)
    };
    let after = config.request_timeout;
    let outcome = match tokio::time::timeout(after, announcing).await {
        Err(_) => return Err(ClientError::Timeout { method: method::ANNOUNCE, after }),
        Ok(Err(error)) => return Err(broken(url, error)),
        Ok(Ok(None)) => return Err(ClientError::ConnectionLost { method: method::ANNOUNCE }),
        Ok(Ok(Some(outcome))) => outcome,
    };
    let result = outcome.map_err(|error| ClientError::from_rpc(method::ANNOUNCE, error))?;
    let announced = Announced::from_value(&result)
        .map_err(|source| ClientError::InvalidReply { method: method::ANNOUNCE, source })?;
    Ok((socket, announced))
}

pub(super) fn parameters(config: &ClientConfig, announcement: Announcement, session_key: Option<String>) -> Announce {
    let Announcement { capabilities, user_data } = announcement;
    Announce {
        record: PeerRecord { peer_id: config.peer_id.clone(), capabilities, user_data },
        room: config.room.clone(),
        token: config.token.clone(),
        session_key,
    }
}

fn broken(url: &Url, error: tungstenite::Error) -> ClientError {
    ClientError::WebSocket { url: url.to_string(), source: error.into() }
}
