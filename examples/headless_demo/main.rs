//! A whole call that plays by itself and says what it measured: `cargo xtask demo --headless`.
//!
//! Two peers talk through a real signaling server and real WebRTC connections. Each sends speech-like sound and moving
//! 720p pictures, run through a pipeline first, in H.264, VP8 and VP9 in turn. What arrives is compared with what was
//! sent. The exit code is 1 if the call was worse than it should be.

mod call;
mod heard;
mod pictures;
mod processors;
mod sound;

use std::process::ExitCode;

use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use remotemedia_webrtc::VideoCodec;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let signaling_url = format!("ws://{}", listener.local_addr()?);
    tokio::spawn(async move { SignalingServer::new(ServerConfig::default()).serve(listener).await });
    println!("Signaling server at {signaling_url}");

    let clip = pictures::clip()?;
    let mut complaints = Vec::new();
    for codec in [VideoCodec::h264(), VideoCodec::vp8(), VideoCodec::vp9()] {
        let name = codec.codec();
        let call = call::play(&signaling_url, codec, &clip).await?;
        println!("\n{name}, 1280x720, 30 pictures/s, both ways, with Opus at 48 kHz");
        println!("  connected in {:.0} ms", call.connect.as_secs_f64() * 1_000.0);
        let idle = call.idle.map_or_else(|| "an unknown share".into(), |idle| format!("{:.0} %", idle * 100.0));
        println!("  {idle} of the machine's processor time was idle");
        for (direction, heard) in [("alice to bob", &call.to_bob), ("bob to alice", &call.to_alice)] {
            heard.print(direction);
            complaints
                .extend(heard.complaints(name, call.idle).into_iter().map(|c| format!("{name}, {direction}: {c}")));
        }
    }
    if complaints.is_empty() {
        println!("\nEverything arrived as it should.");
        return Ok(ExitCode::SUCCESS);
    }
    println!();
    for complaint in complaints {
        println!("NOT AS IT SHOULD BE: {complaint}");
    }
    Ok(ExitCode::FAILURE)
}
