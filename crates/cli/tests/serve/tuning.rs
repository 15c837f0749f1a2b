//! Changing the pipeline of a call that is held, over HTTP.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    http::http,
    process::{PATIENCE, Process, example, serve},
};

#[test]
fn params_change_and_what_cannot_be_changed_is_refused_with_the_reason() {
    let mirror = example("pipelines/mirror.yaml");
    let (_serve, call, signaling) = call_through(mirror.to_str().unwrap(), &[]);
    let node = |name: &str| format!("/api/peers/caller/pipeline/nodes/{name}");
    let (status, body) = http(&signaling, "PATCH", &node("louder"), "{\"db\":-3}");
    assert!(status.contains("200"), "{status} {body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let louder = answer["nodes"].as_array().unwrap().iter().find(|node| node["id"] == "louder").unwrap();
    assert_eq!(louder["params"]["db"], json!(-3));
    for (name, sent, code, said) in [
        ("louder", "{\"db\":100}", "422", "-120"),
        ("louder", "{\"db\":\"loud\"}", "422", "db"),
        ("louder", "{\"volume\":1}", "422", "db"),
        ("louder", "{\"db\":", "400", "JSON"),
        ("lauder", "{\"db\":1}", "404", "louder"),
    ] {
        let (status, body) = http(&signaling, "PATCH", &node(name), sent);
        let error: Value = serde_json::from_str(&body).unwrap();
        assert!(status.contains(code), "{name} {sent}: {status} {body}");
        assert!(error["error"].as_str().unwrap().contains(said), "{name} {sent}: {body}");
    }
    let (_, body) = http(&signaling, "GET", "/api/peers/caller/pipeline", "");
    assert!(body.contains("\"db\":-3"), "what was refused has changed nothing: {body}");
    drop(call);
}

#[test]
fn of_choices_at_the_same_time_each_is_made_or_refused_as_one_too_many() {
    let mirror = example("pipelines/mirror.yaml");
    let (_serve, call, signaling) = call_through(mirror.to_str().unwrap(), &[]);
    let choose = |name: &str| {
        let (status, body) = http(&signaling, "PUT", "/api/peers/caller/pipeline", &format!("{{\"name\":{name:?}}}"));
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let answers: Vec<(String, Value)> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|n| scope.spawn(move || choose(["echo", "mirror"][n % 2]))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| status.contains("200"));
    println!("{} of 8 were made", made.len());
    assert!(!made.is_empty());
    for (status, answer) in refused {
        assert!(status.contains("409") && answer["error"].as_str().unwrap().contains("caller"), "{status} {answer}");
    }
    let (status, answer) = choose("echo");
    assert!(status.contains("200") && answer["name"] == "echo", "{status} {answer}");
    drop(call);
}

/// A server whose first pipeline is that of `manifest`, a call that is held with its bot, with options of its own, and the
/// address of signaling.
pub(crate) fn call_through(manifest: &str, options: &[&str]) -> (Process, Process, String) {
    let (serve, ready) = serve(&["--manifest", manifest]);
    let signaling = ready["signaling_url"].as_str().unwrap().to_owned();
    let arguments = ["call", "--signaling", &signaling, "--peer-id", "caller", "--to", "remotemedia", "--json"];
    let held = ["--codec", "vp8", "--duration", "60"];
    let call = Process::remotemedia("call", &[&arguments[..], &held, options].concat());
    serve.event("peer_connected", PATIENCE);
    let limit = Instant::now() + PATIENCE;
    while !http(&signaling, "GET", "/api/peers/caller/pipeline", "").0.contains("200") {
        assert!(Instant::now() < limit, "no pipeline runs for the caller");
        std::thread::sleep(Duration::from_millis(20));
    }
    (serve, call, signaling)
}
