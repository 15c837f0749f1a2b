//! The HTTP side: signaling, the page, and what the page asks the bot.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Request, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use remotemedia_signaling::server::SignalingServer;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    bot::{Bot, Running},
    page,
};
use crate::figures;

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
        .route("/api/peers/{peer}/stats", get(stats))
        .route("/api/peers/{peer}/restart-ice", post(restart_ice))
        .fallback(|| async { failure(StatusCode::NOT_FOUND, "there is nothing at this address") })
        .with_state(bot)
}

async fn info(State(bot): State<Arc<Bot>>) -> Json<Value> {
    let pipelines: Vec<_> = bot.pipelines.descriptions().collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "bot": bot.id(),
        "room": bot.room,
        "pipelines": pipelines,
        "default_pipeline": bot.pipelines.default().description.name,
    }))
}

async fn pipeline(State(bot): State<Arc<Bot>>, Path(peer): Path<String>) -> Response {
    match bot.running(&peer) {
        Some(running) => Json(describe(&running)).into_response(),
        None => no_call(&bot, &peer),
    }
}

async fn stats(State(bot): State<Arc<Bot>>, Path(peer): Path<String>) -> Response {
    let Some(info) = bot.stats(&peer).await else { return no_call(&bot, &peer) };
    let (audio, video) = (figures::of_audio(Some(&info)), figures::of_video(Some(&info)));
    let connect_ms = (info.metrics.connect_time.as_secs_f64() * 1e4).round() / 10.0;
    let both = json!({"connect_ms": connect_ms, "audio": audio, "video": video});
    Json(figures::join(figures::of_connection(Some(&info)), both)).into_response()
}

/// What `PUT` takes.
#[derive(Deserialize)]
struct Choice {
    name: String,
}

async fn choose(
    State(bot): State<Arc<Bot>>,
    Path(peer): Path<String>,
    choice: Result<Json<Choice>, JsonRejection>,
) -> Response {
    let name = match choice {
        Ok(Json(Choice { name })) => name,
        Err(rejection) => return failure(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let Some(chosen) = bot.pipelines.get(&name) else {
        let known: Vec<&str> = bot.pipelines.descriptions().map(|known| known.name.as_str()).collect();
        return failure(
            StatusCode::NOT_FOUND,
            &format!("there is no pipeline {name:?}; there are {}", known.join(", ")),
        );
    };
    match bot.choose(&peer, chosen).await {
        Ok(()) => pipeline(State(bot), Path(peer)).await,
        Err(error) => failure(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

/// Answers before the path has been found: the call shows when it is.
async fn restart_ice(State(bot): State<Arc<Bot>>, Path(peer): Path<String>) -> Response {
    match bot.restart_ice(&peer).await {
        Ok(()) => {
            let text = format!("{} looks for a new path to {peer}; the old one is used meanwhile", bot.id());
            (StatusCode::ACCEPTED, Json(json!({"text": text}))).into_response()
        }
        Err(error) => failure(StatusCode::NOT_FOUND, &format!("{error}; {}", error.hint())),
    }
}

fn describe(running: &Running) -> Value {
    let micros = |time: std::time::Duration| (time.as_secs_f64() * 1e7).round() / 10.0;
    let nodes: Vec<Value> = running
        .metrics
        .nodes
        .iter()
        .map(|node| {
            let calls = u32::try_from(node.calls).unwrap_or(u32::MAX);
            json!({
                "id": &*node.id,
                "type": &*node.node_type,
                "calls": node.calls,
                "mean_us": micros(node.busy / calls.max(1)),
                "longest_us": micros(node.longest),
                "queued": node.queued,
                "failures": node.failures,
            })
        })
        .collect();
    json!({
        "name": running.name,
        "nodes": nodes,
        "audio_frames_dropped": running.metrics.audio_frames_dropped,
        "video_frames_dropped": running.metrics.video_frames_dropped,
    })
}

fn no_call(bot: &Bot, peer: &str) -> Response {
    failure(StatusCode::NOT_FOUND, &format!("{} has no call with {peer:?}", bot.id()))
}

fn failure(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}
