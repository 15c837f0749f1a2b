//! The other process of a measurement. It prints one JSON object a line and ends when its standard input does.

use std::{process::Stdio, sync::Arc, time::Duration};

use remotemedia_runtime_core::data::RuntimeData;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{ChildStdout, Command},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    Error, memory,
    peers::{numbered_clip, start, with_codec},
    process::cpu_time,
    video::SENT,
};

/// A running child, seen from the parent.
pub(crate) struct Child {
    process: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(args: &[&str]) -> Result<Self, Error> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--child")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no standard output")?;
        Ok(Self { process, lines: BufReader::new(stdout).lines() })
    }

    /// The next object it prints. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Value, Error> {
        let line = self.lines.next_line().await?.ok_or("the child process ended")?;
        Ok(serde_json::from_str(&line)?)
    }

    pub(crate) async fn end(mut self) -> Result<(), Error> {
        drop(self.process.stdin.take());
        self.process.wait().await?;
        Ok(())
    }
}

pub(crate) async fn run(args: &[String]) -> Result<(), Error> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["send-video", url, codec] => send_video(url, codec).await?,
        ["hub", url, case] => memory::hub(url, case).await?,
        _ => return Err(format!("no such child: {args:?}").into()),
    }
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Sends the clip for two seconds, then measures ten.
async fn send_video(url: &str, codec: &str) -> Result<(), Error> {
    let clip: Vec<_> = numbered_clip(SENT)?.into_iter().map(Arc::new).collect();
    let sender = start(with_codec(url, "sender", codec)).await?;
    sender.connect_peer("viewer").await?;
    // The viewer pulls before the first picture is sent.
    sleep(Duration::from_millis(200)).await;
    let mut clock = interval(Duration::from_nanos(33_333_333));
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let warm = 60;
    let mut begin = (cpu_time()?, Instant::now(), 0);
    let sent_bytes =
        || async { Ok::<_, Error>(sender.list_peers().await?.first().map_or(0, |p| p.metrics.bytes_sent)) };
    for (n, frame) in clip.iter().enumerate() {
        clock.tick().await;
        if n == warm {
            begin = (cpu_time()?, Instant::now(), sent_bytes().await?);
        }
        sender.send_to_peer("viewer", &RuntimeData::Video { frame: Arc::clone(frame) }).await?;
    }
    let elapsed = begin.1.elapsed().as_secs_f64();
    let cpu = (cpu_time()? - begin.0).as_secs_f64();
    let bits = (sent_bytes().await? - begin.2) as f64 * 8.0;
    let replaced = sender.pictures_replaced()?;
    println!(
        "{}",
        json!({"core_share": cpu / elapsed, "kbit_s": bits / elapsed / 1_000.0, "pictures": 360 - replaced})
    );
    Ok(())
}
