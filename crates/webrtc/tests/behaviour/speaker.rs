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

/// A decoder goes on with a sound that stops in the middle, but not with what ends in as much silence.
const PAUSE: Duration = Duration::from_millis(100);

fn silence() -> AudioFrame {
    AudioFrame::new(vec![0.0; 4_800], 48_000, 1).unwrap()
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
            // What is sent ahead of its time, the frame in which it fades out and one in the encoder: no more leaves after the
            // interruption.
            assert!(
                truth <= said + Duration::from_millis(80),
                "{truth:?} were heard of what was interrupted after {said:?}"
            );
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
        speaker.play(silence()).await;
        speaker.finished().await;
        sleep(Duration::from_millis(200)).await;
        let second = speaker.interrupt().await.heard("alice");
        assert!(second.abs_diff(Duration::from_secs(1) + PAUSE) <= Duration::from_millis(20), "{second:?}");
        let (truth, _) = listening.await.unwrap();
        let told = first + second - PAUSE;
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
fn waiting_for_the_end_keeps_nobody_from_asking_playing_and_interrupting() {
    run_virtual(365, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        alice.connect_peer("bot").await.unwrap();
        let speaker = bot.speaker(Target::peer("alice").unwrap()).unwrap();
        let near = |a: Duration, b: Duration| a.abs_diff(b) <= Duration::from_millis(100);
        speaker.play(clip_of_sound(2)).await;
        let waiter = speaker.clone();
        let begin = Instant::now();
        let waiting = tokio::spawn(async move {
            waiter.finished().await;
            begin.elapsed()
        });
        sleep(Duration::from_millis(500)).await;
        assert!(near(speaker.queued(), Duration::from_millis(1_500)), "{:?}", speaker.queued());
        speaker.play(clip_of_sound(1)).await;
        assert!(near(begin.elapsed(), Duration::from_millis(500)), "played after {:?}", begin.elapsed());
        let dropped = speaker.interrupt().await.dropped;
        assert!(near(dropped, Duration::from_millis(2_500)), "{dropped:?}");
        let waited = timeout(Duration::from_secs(1), waiting).await.expect("the end").unwrap();
        assert!(near(waited, Duration::from_millis(500)), "what is dropped is over, but {waited:?}");
        // What comes while somebody waits is not waited for.
        speaker.play(clip_of_sound(1)).await;
        let begin = Instant::now();
        let (waited, ()) = tokio::join!(
            async {
                speaker.finished().await;
                begin.elapsed()
            },
            speaker.play(clip_of_sound(1)),
        );
        assert!(near(waited, Duration::from_secs(1)), "{waited:?}");
        speaker.finished().await;
        assert!(near(begin.elapsed(), Duration::from_secs(2)), "{:?}", begin.elapsed());
        speaker.finished().await;
    });
}

#[test]
fn everything_has_been_sent_when_a_speaker_has_finished_however_odd_its_pieces_are() {
    for rate in [16_000, 24_000, 44_100, 48_000] {
        run_virtual(366, move |network| async move {
            let world = World::clean(network);
            let (bot, alice) = (world.join("bot").await, world.join("alice").await);
            alice.connect_peer("bot").await.unwrap();
            let listening = keep_listening(&alice, Instant::now() + Duration::from_secs(3));
            sleep(Duration::from_secs(1)).await;
            let speaker = bot.speaker(Target::peer("alice").unwrap()).unwrap();
            // 30 ms, the sound of which begins after the 20 that fill a frame.
            let (frame, rest) = (rate / 50, rate / 100);
            let RuntimeData::Audio { frame: sound } = tone(rate as u32, 0, rest, &[0.3]) else { unreachable!() };
            let samples = [vec![0.0; frame], sound.samples().to_vec()].concat();
            speaker.play(AudioFrame::new(samples, rate as u32, 1).unwrap()).await;
            let begin = Instant::now();
            speaker.finished().await;
            assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
            drop(speaker);
            let (_, heard) = listening.await.unwrap();
            let loud = heard.chunks_exact(48).filter(|part| level(part) > 0.02).count();
            println!("of the last 10 ms at {rate} Hz {loud} were heard");
            assert!(loud >= 8, "of the last 10 ms at {rate} Hz {loud} were heard");
        });
    }
}

#[test]
fn what_is_played_while_an_interruption_is_answered_is_said() {
    run_virtual(367, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        alice.connect_peer("bot").await.unwrap();
        let listening = keep_listening(&alice, Instant::now() + Duration::from_secs(6));
        let speaker = bot.speaker(Target::peer("alice").unwrap()).unwrap();
        for piece in [30, 10] {
            speaker.play(clip_of_sound(piece)).await;
        }
        // There is no room for it: it waits.
        let late = speaker.clone();
        let waiting = tokio::spawn(async move { late.play(clip_of_sound(30)).await });
        sleep(Duration::from_secs(1)).await;
        let queued = speaker.queued();
        assert!(queued.abs_diff(Duration::from_secs(39)) <= Duration::from_millis(100), "{queued:?}");
        let (interruption, ()) = tokio::join!(speaker.interrupt(), speaker.play(clip_of_sound(1)));
        assert!(interruption.dropped.abs_diff(queued) <= Duration::from_millis(100), "{interruption:?}");
        assert!(waiting.is_finished(), "what waited for room is dropped as well");
        speaker.play(silence()).await;
        speaker.finished().await;
        sleep(Duration::from_millis(200)).await;
        let second = speaker.interrupt().await;
        let near = |a: Duration, b: Duration, error| a.abs_diff(b) <= Duration::from_millis(error);
        assert!(near(second.heard("alice"), Duration::from_secs(1) + PAUSE, 20), "{second:?}");
        assert_eq!(second.dropped, Duration::ZERO);
        let (truth, _) = listening.await.unwrap();
        let told = interruption.heard("alice") + second.heard("alice") - PAUSE;
        assert!(near(truth, told, 40), "{truth:?} were heard, told {told:?}");
    });
}

#[test]
fn of_what_was_said_to_all_each_has_heard_what_was_said_while_it_was_there() {
    run_virtual(368, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let (carol, dave) = (world.join("carol").await, world.join("dave").await);
        alice.connect_peer("bot").await.unwrap();
        let until = Instant::now() + Duration::from_secs(13);
        let alice_listens = keep_listening(&alice, until);
        let speaker = bot.speaker(Target::All).unwrap();
        speaker.play(clip_of_sound(10)).await;
        speaker.play(silence()).await;
        sleep(Duration::from_secs(8)).await;
        carol.connect_peer("bot").await.unwrap();
        let carol_listens = keep_listening(&carol, until);
        speaker.finished().await;
        sleep(Duration::from_millis(500)).await;
        // Nobody listens there: asked, it would not answer.
        dave.connect_peer("bot").await.unwrap();
        let begin = Instant::now();
        let interruption = speaker.interrupt().await;
        let answered = begin.elapsed();
        assert!(answered < Duration::from_millis(500), "{answered:?}");
        for (name, listens, about) in [("alice", alice_listens, 10_000), ("carol", carol_listens, 1_800)] {
            let heard = interruption.peers[name];
            let (truth, _) = listens.await.unwrap();
            println!("{name} heard {truth:?}, told {heard:?}");
            assert!(heard.is_measured, "{name}");
            assert!(
                truth.abs_diff(heard.duration - PAUSE) <= Duration::from_millis(40),
                "{name}: {truth:?}, {heard:?}"
            );
            assert!(truth.abs_diff(Duration::from_millis(about)) <= Duration::from_millis(400), "{name}: {truth:?}");
        }
        let dave = interruption.peers["dave"];
        assert!(dave.is_measured && dave.duration.is_zero(), "{dave:?}");
    });
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

#[test]
fn who_was_muted_stays_so_when_the_transport_is_started_again() {
    run_virtual(369, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        alice.connect_peer("bot").await.unwrap();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            bot.mute(kind).unwrap();
        }
        bot.shutdown().await.unwrap();
        bot.start().await.unwrap();
        alice.connect_peer("bot").await.unwrap();
        let clip = clip();
        let send = async || {
            bot.send_to_peer("alice", &RuntimeData::from(picture(&clip, 1))).await.unwrap();
            bot.send_to_peer("alice", &tone(48_000, 0, 48_000, &[0.3])).await.unwrap();
        };
        let sees = async || timeout(Duration::from_secs(1), alice.recv_video("bot")).await.is_ok();
        let loudness = async || level(&listen(&alice, "bot", Instant::now() + Duration::from_secs(1)).await);
        assert!(bot.is_muted(MediaKind::Audio).unwrap() && bot.is_muted(MediaKind::Video).unwrap());
        let ((), loud, seen) = tokio::join!(send(), loudness(), sees());
        assert!(loud < 0.001 && !seen, "{loud}, {seen}");
        for kind in [MediaKind::Audio, MediaKind::Video] {
            bot.unmute(kind).unwrap();
        }
        let ((), loud, seen) = tokio::join!(send(), loudness(), sees());
        assert!(loud > 0.1 && seen, "{loud}, {seen}");
    });
}
