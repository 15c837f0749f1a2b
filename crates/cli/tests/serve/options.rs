//! What the arguments of `remotemedia serve` change for those who meet its bot.

use std::path::PathBuf;

use remotemedia_signaling::{
    client::{Announcement, ClientConfig, SignalingClient},
    protocol::{Announced, Capability},
};
use serde_json::{Value, json};

use crate::{
    http::http,
    process::{PATIENCE, Process, mirror, serve},
};

struct Serve {
    _process: Process,
    signaling: String,
}

impl Serve {
    fn start(further: &[&str]) -> Self {
        let (process, ready) = serve(further);
        Self { signaling: ready["signaling_url"].as_str().unwrap().to_owned(), _process: process }
    }

    fn info(&self) -> Value {
        serde_json::from_str(&http(&self.signaling, "GET", "/api/info", "").1).unwrap()
    }

    /// What a client called `name` is told when it enters a room.
    async fn enter(&self, name: &str, room: &str) -> Announced {
        let mut config = ClientConfig::new(&self.signaling, name.parse().unwrap());
        config.room = room.parse().unwrap();
        let client = SignalingClient::new(config).unwrap();
        let announced = client.announce(Announcement::new([Capability::Data])).await.unwrap();
        client.leave().await.unwrap();
        announced
    }
}

fn names(announced: &Announced) -> Vec<&str> {
    announced.peers.iter().map(|peer| peer.peer_id.as_str()).collect()
}

#[tokio::test]
async fn the_bot_has_the_name_and_the_room_that_it_is_given() {
    let serve = Serve::start(&["--peer-id", "parrot", "--room", "studio"]);
    assert_eq!(names(&serve.enter("alice", "studio").await), ["parrot"]);
    assert!(names(&serve.enter("alice", "default").await).is_empty());
    let info = serve.info();
    assert_eq!((&info["bot"], &info["room"]), (&json!("parrot"), &json!("studio")));
    let call = ["call", "--signaling", &serve.signaling, "--peer-id", "bob", "--json"];
    let to = ["--room", "studio", "--to", "parrot", "--duration", "2"];
    let lines = Process::remotemedia("call", &[&call[..], &to].concat()).finish(PATIENCE);
    assert_eq!(lines[0], json!({"event": "peer_connected", "peer": "parrot"}));
}

#[tokio::test]
async fn everybody_is_told_of_the_stun_servers() {
    let servers = ["stun:stun.example.com:3478", "stun:stun2.example.com"];
    let serve = Serve::start(&["--stun", servers[0], "--stun", servers[1]]);
    let announced = serve.enter("alice", "elsewhere").await;
    let urls: Vec<&String> = announced.ice_servers.iter().flat_map(|server| &server.urls).collect();
    assert_eq!(urls, servers);
    assert!(announced.ice_servers.iter().all(|server| server.username.is_none() && server.credential.is_none()));
    assert!(Serve::start(&[]).enter("alice", "default").await.ice_servers.is_empty());
}

#[test]
fn every_pipeline_of_the_examples_can_be_served() {
    let examples = mirror().ancestors().nth(2).unwrap().to_owned();
    let files = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_manifest = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml");
    let manifests: Vec<PathBuf> =
        files(examples.clone()).chain(files(examples.join("pipelines"))).filter(is_manifest).collect();
    assert!(manifests.len() > 6, "{manifests:?}");
    let arguments: Vec<&str> = manifests.iter().flat_map(|path| ["--manifest", path.to_str().unwrap()]).collect();
    let pipelines = Serve::start(&arguments).info()["pipelines"].as_array().unwrap().len();
    assert_eq!(pipelines, manifests.len() + 1, "and an echo");
}

#[test]
fn the_pipelines_of_the_demo_are_there_side_by_side() {
    let mirror = mirror();
    let upside_down = mirror.with_file_name("upside-down.yaml");
    let manifests = [&mirror, &upside_down].map(|path| path.to_str().unwrap());
    let serve = Serve::start(&["--manifest", manifests[0], "--manifest", manifests[1]]);
    let info = serve.info();
    let pipelines = info["pipelines"].as_array().unwrap();
    let named: Vec<&Value> = pipelines.iter().map(|pipeline| &pipeline["name"]).collect();
    assert_eq!(named, ["mirror", "upside-down", "echo"]);
    assert_eq!(info["default_pipeline"], "mirror");
    for pipeline in pipelines {
        let words = [&pipeline["title"], &pipeline["description"]];
        assert!(words.iter().all(|text| !text.as_str().unwrap().is_empty()), "{pipeline}");
        assert!(!pipeline["nodes"].as_array().unwrap().is_empty(), "{pipeline}");
    }
}
