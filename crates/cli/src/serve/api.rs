//! The HTTP side: signaling, the page, and what the page asks the bot.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{FromRequestParts, Path, Request, State, rejection::JsonRejection},
    http::{Method, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{any, get, patch, post},
};
use remotemedia_signaling::server::SignalingServer;
use remotemedia_webrtc::WebRtcError;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    bot::{Bot, ChoiceError, Running},
    page,
    tuning::TuningError,
};
use crate::{failure::in_words, figures};

pub(super) fn router(server: SignalingServer, bot: Arc<Bot>) -> Router {
    let signal = server.clone();
    let root = move |request: Request| async move {
        if SignalingServer::is_upgrade(&request) { server.handle(request) } else { page::index().await }
    };
    Router::new()
        .route("/", get(root))
        .route("/signal", any(move |request: Request| async move { signal.handle(request) }))
        .route("/page/{*name}", get(page::asset))
        .route("/api/info", get(info))
        .route("/api/peers/{peer}/pipeline", get(pipeline).put(choose))
        .route("/api/peers/{peer}/pipeline/nodes/{node}", patch(tune))
        .route("/api/peers/{peer}/stats", get(stats))
        .route("/api/peers/{peer}/restart-ice", post(restart_ice))
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "there is nothing at this address") })
        .method_not_allowed_fallback(|method: Method| async move {
            let text = format!("{method} is not for this address: the header Allow says what is");
            failure(StatusCode::METHOD_NOT_ALLOWED, &text)
        })
        .with_state(bot)
}

/// What a request names in its path, with an error in the shape of the others.
struct Named<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let named = Path::from_request_parts(parts, state).await;
        named.map(|Path(named)| Self(named)).map_err(|rejection| failure(rejection.status(), &rejection.body_text()))
    }
}

async fn info(State(bot): State<Arc<Bot>>) -> Json<Value> {
    let pipelines: Vec<_> = bot.pipelines.iter().map(|pipeline| &pipeline.description).collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "bot": bot.id(),
        "room": bot.room,
        "pipelines": pipelines,
        "default_pipeline": bot.pipelines.default().description.name,
    }))
}

async fn pipeline(State(bot): State<Arc<Bot>>, Named(peer): Named<String>) -> Response {
    match bot.running(&peer) {
        Some(running) => Json(describe(&bot, &running)).into_response(),
        None => no_call(&bot, &peer),
    }
}

async fn stats(State(bot): State<Arc<Bot>>, Named(peer): Named<String>) -> Response {
    let Some(info) = bot.stats(&peer).await else { return no_call(&bot, &peer) };
    let (audio, video) = (figures::of_audio(Some(&info)), figures::of_video(Some(&info)));
    let connect_ms = (info.metrics.connect_time.as_secs_f64() * 1e4).round() / 10.0;
    let both = json!({"connect_ms": connect_ms, "audio": audio, "video": video});
    Json(figures::join(figures::of_connection(Some(&info)), both)).into_response()
}

/// What `PUT` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    name: String,
    /// One of the pipeline's outputs; the first if it is not said.
    output: Option<String>,
}

async fn choose(
    State(bot): State<Arc<Bot>>,
    Named(peer): Named<String>,
    choice: Result<Json<Choice>, JsonRejection>,
) -> Response {
    let Choice { name, output } = match choice {
        Ok(Json(choice)) => choice,
        Err(rejection) => return failure(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let Some(chosen) = bot.pipelines.get(&name) else {
        let known: Vec<&str> = bot.pipelines.iter().map(|known| known.description.name.as_str()).collect();
        return failure(
            StatusCode::NOT_FOUND,
            &format!("there is no pipeline {name:?}; there are {}", known.join(", ")),
        );
    };
    let manifest = output.as_ref().map_or(Some(chosen.manifest()), |output| chosen.manifest_to(output));
    let Some(manifest) = manifest else {
        let (output, known) = (output.unwrap_or_default(), chosen.outputs().join(", "));
        return failure(
            StatusCode::NOT_FOUND,
            &format!("the pipeline {name:?} has no output {output:?}; there are {known}"),
        );
    };
    match bot.choose(&peer, chosen, manifest).await {
        Ok(()) => pipeline(State(bot), Named(peer)).await,
        Err(error @ ChoiceError::UnderWay { .. }) => failure(StatusCode::CONFLICT, &error.to_string()),
        Err(ChoiceError::Refused(error)) => refused(&bot, &peer, &error),
    }
}

fn refused(bot: &Bot, peer: &str, error: &WebRtcError) -> Response {
    match error {
        // It may be about to connect.
        WebRtcError::PeerNotFound(_) | WebRtcError::InvalidPeerId(_) => no_call(bot, peer),
        error => failure(StatusCode::UNPROCESSABLE_ENTITY, &in_words(error)),
    }
}

/// Takes the params of a node that are to change, by name.
async fn tune(
    State(bot): State<Arc<Bot>>,
    Named((peer, node)): Named<(String, String)>,
    changes: Result<Json<Map<String, Value>>, JsonRejection>,
) -> Response {
    let changes = match changes {
        Ok(Json(changes)) => changes,
        Err(rejection) => return failure(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    match bot.tune(&peer, &node, &changes).await {
        Ok(()) => pipeline(State(bot), Named(peer)).await,
        Err(error @ (TuningError::NoSession { .. } | TuningError::UnknownNode { .. })) => {
            failure(StatusCode::NOT_FOUND, &error.to_string())
        }
        Err(error) => failure(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

/// Answers before the path has been found: the call shows when it is.
async fn restart_ice(State(bot): State<Arc<Bot>>, Named(peer): Named<String>) -> Response {
    match bot.restart_ice(&peer).await {
        Ok(()) => {
            let text = format!("{} looks for a new path to {peer}; the old one is used meanwhile", bot.id());
            (StatusCode::ACCEPTED, Json(json!({"text": text}))).into_response()
        }
        Err(error) => refused(&bot, &peer, &error),
    }
}

fn describe(bot: &Bot, running: &Running<'_>) -> Value {
    let micros = |time: std::time::Duration| (time.as_secs_f64() * 1e7).round() / 10.0;
    let nodes: Vec<Value> = running
        .metrics
        .nodes
        .iter()
        .map(|node| {
            let params = running.session.as_ref().and_then(|session| session.params(&node.id));
            let params = params.map(|params| bot.pipelines.values(&node.node_type, &params.to_json()));
            let worked = u32::try_from(node.calls + node.ticks).unwrap_or(u32::MAX);
            json!({
                "id": &*node.id,
                "type": &*node.node_type,
                "calls": node.calls,
                "ticks": node.ticks,
                "mean_us": micros(node.busy / worked.max(1)),
                "longest_us": micros(node.longest),
                "queued": node.queued,
                "dropped": node.dropped,
                "failures": node.failures,
                "timeouts": node.timeouts,
                "params": params,
            })
        })
        .collect();
    let said = running.said.as_ref().map(|said| {
        let ago_ms = u64::try_from(said.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        json!({"type": &*said.message.message_type, "payload": &*said.message.payload, "ago_ms": ago_ms})
    });
    json!({
        "name": running.pipeline.description.name,
        "output": running.output,
        "peers": running.peers.as_ref().map(|peers| peers.iter().map(|peer| peer.as_str()).collect::<Vec<_>>()),
        "nodes": nodes,
        "said": said,
        "audio_frames_dropped": running.metrics.audio_frames_dropped,
        "video_frames_dropped": running.metrics.video_frames_dropped,
        "inputs_refused": running.metrics.inputs_refused,
        "outputs_dropped": running.metrics.outputs_dropped,
    })
}

fn no_call(bot: &Bot, peer: &str) -> Response {
    failure(StatusCode::NOT_FOUND, &format!("{} has no call with {peer:?}", bot.id()))
}

pub(super) fn failure(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}
