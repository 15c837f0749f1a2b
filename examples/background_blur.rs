//! A video call in which the background is blurred before it leaves the house.
//!
//! `cargo run --release --example background_blur -- --duration 8`
//!
//! The camera is a drawn one: a chequered wall, and somebody in a striped shirt who moves in front of it. At the end it prints
//! how much of the detail of each arrived at the other side.

use std::{sync::Arc, time::Duration};

use remotemedia_examples::{Error, Stage, duration};
use remotemedia_runtime_core::{data::VideoFrame, manifest::Manifest, transport::TransportData};
use remotemedia_webrtc::{VideoCodec, WebRtcTransport, WebRtcTransportConfig};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let duration = duration(Duration::from_secs(8))?;
    let stage = Stage::open().await?;
    let config = || WebRtcTransportConfig {
        video_codec: VideoCodec::vp8().size(WIDTH as u32, HEIGHT as u32).bitrate_kbps(2_500),
        ..Default::default()
    };
    let (alice, bob) = (stage.join("alice", config()).await?, stage.join("bob", config()).await?);
    alice.connect_peer("bob").await?;

    let manifest = Manifest::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/background_blur.yaml"))?;
    let mut session = alice.stream(Arc::new(manifest)).await?;
    let end = Instant::now() + duration;
    let watching = tokio::spawn(watch(bob.clone(), end));

    let mut clock = interval(Duration::from_millis(40));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let start = Instant::now();
    let mut took = Vec::new();
    loop {
        let now = clock.tick().await;
        if now >= end {
            break;
        }
        let picture = camera(now - start)?;
        let begun = Instant::now();
        session.send_input(TransportData::new(picture)).await?;
        while let Some(output) = session.recv_output().await? {
            took.push(begun.elapsed());
            alice.send_to_peer("bob", &output.data).await?;
        }
    }
    session.close().await?;

    let last = watching.await??.ok_or("no picture arrived")?;
    took.sort();
    let sent = camera(duration)?;
    println!("{} pictures blurred, each in {:?} (median)", took.len(), took.get(took.len() / 2));
    println!("detail of the wall: {:.1} sent, {:.1} seen", detail(&sent, wall), detail(&last, wall));
    println!("detail of the shirt: {:.1} sent, {:.1} seen", detail(&sent, shirt), detail(&last, shirt));
    alice.shutdown().await?;
    bob.shutdown().await?;
    Ok(())
}

/// The last picture that came.
async fn watch(bob: WebRtcTransport, end: Instant) -> Result<Option<Arc<VideoFrame>>, Error> {
    let mut last = None;
    while let Ok(frame) = timeout_at(end, bob.recv_video("alice")).await {
        match frame? {
            Some(frame) => last = Some(frame),
            None => break,
        }
    }
    Ok(last)
}

/// What the camera sees after `time`.
fn camera(time: Duration) -> Result<VideoFrame, Error> {
    let sway = (12.0 * (time.as_secs_f64() * 2.5).sin()) as isize;
    let mut pixels = vec![128; WIDTH * HEIGHT * 3 / 2];
    for (at, pixel) in pixels[..WIDTH * HEIGHT].iter_mut().enumerate() {
        let (x, y) = ((at % WIDTH) as isize, (at / WIDTH) as isize);
        let (across, down) = (x - WIDTH as isize / 2 - sway, y - HEIGHT as isize);
        // A head and shoulders.
        let is_shoulder = across * across / 4 + down * down < 150 * 150 && down < 0;
        let is_head = across * across + (down + 210) * (down + 210) < 60 * 60;
        *pixel = match (is_shoulder, is_head) {
            (true, _) => {
                if (across + 1_000) / 6 % 2 == 0 {
                    70
                } else {
                    190
                }
            }
            (false, true) => {
                if (down + 1_000) / 6 % 2 == 0 {
                    150
                } else {
                    220
                }
            }
            (false, false) => {
                if (x / 8 + y / 8) % 2 == 0 {
                    60
                } else {
                    160
                }
            }
        };
    }
    Ok(VideoFrame::i420(WIDTH as u32, HEIGHT as u32, pixels)?)
}

/// A part of the wall that nobody ever stands in front of.
fn wall(x: usize, y: usize) -> bool {
    (20..140).contains(&x) && (40..300).contains(&y)
}

/// A part of the shirt that is always there.
fn shirt(x: usize, y: usize) -> bool {
    (WIDTH / 2 - 60..WIDTH / 2 + 60).contains(&x) && (HEIGHT - 80..HEIGHT - 10).contains(&y)
}

/// How much neighbouring pixels of a part of a picture differ, on average.
fn detail(frame: &VideoFrame, part: impl Fn(usize, usize) -> bool) -> f64 {
    let rows: Vec<&[u8]> = frame.rows(0).collect();
    let (mut sum, mut count) = (0.0, 0);
    for (y, row) in rows.iter().enumerate() {
        for x in (0..row.len() - 1).filter(|x| part(*x, y)) {
            sum += f64::from(row[x].abs_diff(row[x + 1]));
            count += 1;
        }
    }
    sum / f64::from(count.max(1))
}
