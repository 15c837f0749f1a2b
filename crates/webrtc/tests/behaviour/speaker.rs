//! A speaker says things, is interrupted, and knows what was heard.

use std::{sync::Arc, time::Duration};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{AudioFrame, MediaKind, Target, TransportEvent, WebRtcTransport};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::world::{PICTURE, World, clip, level, listen, picture, tone};

/// `seconds` of a tone in one piece.
fn clip_of_sound(seconds: usize) -> Arc<AudioFrame> {
    let RuntimeData::Audio { frame } = tone(48_000, 0, 48_000 * seconds, &[0.3]) else { unreachable!("it is audio") };
    frame
}

/// Listens to the bot until `end`, and answers for how long sound was heard.
fn keep_listening(listener: &WebRtcTransport, end: Instant) -> JoinHandle<(Duration, Vec<f32>)> {
    let listener = listener.clone();
    tokio::spawn(async move {
        let heard = listen(&listener, "bot", end).await;
        // By the millisecond, of which a tone of 440 Hz has nearly half a period: loud means more than a fade's end.
        let loud = heard.chunks_exact(240).filter(|part| level(part) > 0.05).count();
        (Duration::from_millis(5) * loud as u32, heard)
    })
}

#[test]
fn what_a_caller_has_heard_of_an_interrupted_answer_is_known_to_a_frame() {
    for seed in 341..361 {
        run_virtual(seed, move |network| async move {
            let world = World::clean(network);
            let (bot, alice) = (world.join("bot").await, world.join("alice").await);
            alice.connect_peer("bot").await.unwrap();
            let until = Instant::now() + Duration::from_secs(8);
            let listening = keep_listening(&alice, until);
            let speaker = bot.speaker(Target::peer("alice").unwrap()).unwrap();
            // As a synthesiser makes it: much faster than it sounds.
            for _ in 0..4 {
                speaker.play(clip_of_sound(5)).await;
            }
            assert!(speaker.queued() > Duration::from_secs(15));
            let said = Duration::from_millis(2_000 + 37 * (seed - 341));
            sleep(said).await;
            let before = Instant::now();
            let interruption = speaker.interrupt().await;
            let answered = before.elapsed();
            assert_eq!(speaker.queued(), Duration::ZERO);
            let heard = interruption.peers["alice"];
            let (truth, samples) = listening.await.unwrap();
            let error = heard.duration.abs_diff(truth);
            println!("said for {said:?}, heard {truth:?}, told {:?} after {answered:?}", heard.duration);
            assert!(heard.is_measured && heard.duration == interruption.heard("alice"));
            assert!(error <= Duration::from_millis(20), "{heard:?} but {truth:?} were heard");
            assert!(answered < Duration::from_millis(500), "{answered:?}");
            assert!(interruption.dropped > Duration::from_secs(15), "{:?}", interruption.dropped);
            let step = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
            assert!(step < 0.05, "no click, but a step of {step}");
        });
    }
}

#[test]
fn a_speaker_that_was_interrupted_says_what_comes_next_and_counts_anew() {
    run_virtual(361, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        alice.connect_peer("bot").await.unwrap();
        let listening = keep_listening(&alice, Instant::now() + Duration::from_secs(8));
        let speaker = bot.speaker(Target::All).unwrap();
        speaker.play(clip_of_sound(10)).await;
        sleep(Duration::from_secs(1)).await;
        let first = speaker.interrupt().await.heard("alice");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(speaker.interrupt().await.heard("alice"), Duration::ZERO, "nothing was said in between");
        speaker.play(clip_of_sound(1)).await;
        // A decoder goes on with a sound that stops in the middle.
        let pause = Duration::from_millis(100);
        speaker.play(AudioFrame::new(vec![0.0; 4_800], 48_000, 1).unwrap()).await;
        speaker.finished().await;
        sleep(Duration::from_millis(200)).await;
        let second = speaker.interrupt().await.heard("alice");
        assert!(second.abs_diff(Duration::from_secs(1) + pause) <= Duration::from_millis(20), "{second:?}");
        let (truth, _) = listening.await.unwrap();
        let told = first + second - pause;
        assert!(truth.abs_diff(told) <= Duration::from_millis(40), "{truth:?} were heard, told {told:?}");
        assert_eq!(speaker.interrupt().await.heard("nobody"), Duration::ZERO);
    });
}

#[test]
fn a_speaker_takes_a_minute_ahead_of_what_it_says_however_long_the_pieces_are() {
    for piece in [1, 5, 30] {
        run_virtual(364, move |network| async move {
            let world = World::clean(network);
            let (bot, alice) = (world.join("bot").await, world.join("alice").await);
            alice.connect_peer("bot").await.unwrap();
            let speaker = bot.speaker(Target::peer("alice").unwrap()).unwrap();
            let near = |a: Duration, b: Duration| a.abs_diff(b) <= Duration::from_millis(100);
            let begin = Instant::now();
            for _ in 0..60 / piece {
                speaker.play(clip_of_sound(piece)).await;
            }
            assert!(near(begin.elapsed(), Duration::ZERO), "{piece}: a minute is taken after {:?}", begin.elapsed());
            assert!(near(speaker.queued(), Duration::from_secs(60)), "{piece}: {:?}", speaker.queued());
            speaker.play(clip_of_sound(5)).await;
            assert!(near(begin.elapsed(), Duration::from_secs(5)), "{piece}: 5 s more after {:?}", begin.elapsed());
            sleep(Duration::from_secs(7)).await;
            assert!(near(speaker.queued(), Duration::from_secs(53)), "{piece}: {:?}", speaker.queued());
            let dropped = speaker.interrupt().await.dropped;
            assert!(near(dropped, Duration::from_secs(53)), "{piece}: {dropped:?} dropped");
        });
    }
}

#[test]
fn a_peer_whose_audio_nobody_listens_to_is_estimated() {
    run_virtual(362, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        alice.connect_peer("bot").await.unwrap();
        let speaker = bot.speaker(Target::peer("alice").unwrap()).unwrap();
        speaker.play(clip_of_sound(10)).await;
        sleep(Duration::from_secs(2)).await;
        let heard = speaker.interrupt().await.peers["alice"];
        assert!(!heard.is_measured);
        assert!(heard.duration.abs_diff(Duration::from_secs(2)) <= Duration::from_millis(100), "{heard:?}");
    });
}

#[test]
fn muted_media_is_not_sent_and_comes_back() {
    run_virtual(363, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let mut events = alice.events();
        alice.connect_peer("bot").await.unwrap();
        let sender = bot.clone();
        let clip = clip();
        let sending = tokio::spawn(async move {
            for n in 0.. {
                sender.send_to_peer("alice", &RuntimeData::from(picture(&clip, n as u16))).await.unwrap();
                for part in 0..2 {
                    let start = (n * 2 + part) * 960;
                    sender.send_to_peer("alice", &tone(48_000, start, 960, &[0.3])).await.unwrap();
                }
                sleep(PICTURE).await;
            }
        });
        let loudness = async || level(&listen(&alice, "bot", Instant::now() + Duration::from_secs(1)).await);
        let sees = async || timeout(Duration::from_millis(400), alice.recv_video("bot")).await.is_ok();
        sleep(Duration::from_secs(1)).await;
        assert!(loudness().await > 0.1 && sees().await);
        assert!(!bot.is_muted(MediaKind::Audio).unwrap() && !bot.is_muted(MediaKind::Video).unwrap());
        bot.mute(MediaKind::Audio).unwrap();
        bot.mute(MediaKind::Video).unwrap();
        sleep(Duration::from_secs(1)).await;
        while sees().await {}
        loudness().await;
        let silence = loudness().await;
        assert!(silence < 0.001 && !sees().await, "{silence}");
        assert!(bot.is_muted(MediaKind::Audio).unwrap() && bot.is_muted(MediaKind::Video).unwrap());
        bot.unmute(MediaKind::Audio).unwrap();
        bot.unmute(MediaKind::Video).unwrap();
        assert!(sees().await);
        loudness().await;
        assert!(loudness().await > 0.1);
        let mut told = Vec::new();
        while let Ok(Some(event)) = timeout(Duration::from_millis(1), events.next()).await {
            match event {
                TransportEvent::TrackMuted { peer, kind } => told.push((peer, kind, true)),
                TransportEvent::TrackUnmuted { peer, kind } => told.push((peer, kind, false)),
                _ => {}
            }
        }
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let of_kind = told.iter().filter(|(peer, other, _)| *peer == "bot" && *other == kind);
            assert_eq!(of_kind.map(|(.., muted)| *muted).collect::<Vec<_>>(), [true, false], "{kind:?}");
        }
        sending.abort();
    });
}
