//! The frame rate of the video codec is the most that is sent, whichever codec it is.

use std::time::Duration;

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{ConfigOptions, VideoCodec, WebRtcTransport};
use tokio::time::{Instant, sleep, sleep_until};

use crate::world::{SIZE, World, clip, picture, watch};

/// Whatever a picture takes from one side to the other beside its slot.
const ON_THE_WAY: Duration = Duration::from_millis(60);

/// Shows that many pictures, numbered from `first` on, each at the time since now that `at` says. Answers the number behind
/// the last.
async fn show(source: &WebRtcTransport, first: u16, count: u16, at: impl Fn(u16) -> Duration) -> u16 {
    let (clip, begin) = (clip(), Instant::now());
    for n in 0..count {
        sleep_until(begin + at(n)).await;
        source.send_to_peer("bob", &RuntimeData::from(picture(&clip, first + n))).await.unwrap();
    }
    first + count
}

/// So many a second, on time.
fn steady(per_second: f64) -> impl Fn(u16) -> Duration {
    move |n| Duration::from_secs_f64(f64::from(n) / per_second)
}

/// Numbers of the pictures that came, and when, since some moment.
struct Seen(Vec<(u16, Duration)>);

impl Seen {
    fn count(&self, from: f64, to: f64) -> usize {
        self.0.iter().filter(|(_, at)| (from..to).contains(&at.as_secs_f64())).count()
    }

    /// The least and the greatest time between two pictures, in ms.
    fn gaps(&self, from: f64, to: f64) -> (u128, u128) {
        let times: Vec<_> =
            self.0.iter().map(|(_, at)| *at).filter(|at| (from..to).contains(&at.as_secs_f64())).collect();
        let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis());
        (gaps.clone().min().unwrap_or_default(), gaps.max().unwrap_or_default())
    }

    fn numbers(&self) -> Vec<u16> {
        self.0.iter().map(|(number, _)| *number).collect()
    }
}

/// What is seen of `film` for so many seconds, on a network that only takes time. Encoders have so many bits that they leave
/// no picture out by themselves.
fn call<F: Future<Output = ()> + Send + 'static>(
    codec: VideoCodec,
    seconds: u64,
    film: impl FnOnce(WebRtcTransport) -> F + Send + 'static,
) -> Seen {
    run_virtual(151, move |network| async move {
        let world = World::clean(network);
        let codec = codec.size(SIZE.0, SIZE.1).bitrate_kbps(4_000);
        let alice = world.join_with("alice", |c| (c.video_codec, c.adaptive_bitrate_enabled) = (codec, false)).await;
        let bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        let begin = Instant::now();
        let film = tokio::spawn(film(alice.clone()));
        let seen = watch(&bob, "alice", begin + Duration::from_secs(seconds)).await;
        film.await.unwrap();
        Seen(seen.into_iter().map(|(number, at, _)| (number, at - begin)).collect())
    })
}

fn codecs() -> [VideoCodec; 3] {
    [VideoCodec::vp8(), VideoCodec::vp9(), VideoCodec::h264()]
}

#[test]
fn a_source_that_is_too_fast_is_thinned_out_evenly_and_its_last_picture_is_shown() {
    for codec in codecs() {
        let name = codec.codec();
        for (rate, limit, pictures) in [(60.0, 20, 242), (30.0, 20, 122), (30.0, 7, 123)] {
            let film = move |alice: WebRtcTransport| async move {
                show(&alice, 1, pictures, steady(rate)).await;
            };
            let seen = call(codec.clone().framerate(limit), 6, film);
            let (count, (least, most)) = (seen.count(1.0, 4.0), seen.gaps(1.0, 4.0));
            println!("{name}: {rate} to {limit}: {count} pictures in 3 s, {least} to {most} ms apart");
            assert!(count.abs_diff(3 * limit as usize) <= 1, "{name}: {rate} to {limit}: {count} in 3 s");
            let slot = 1_000.0 / f64::from(limit);
            // A picture that was pushed in its slot goes out at once, and the time on the wire varies a little.
            let uneven = 0.6 * 1_000.0 / rate + 3.0;
            assert!(least as f64 >= slot - uneven && (most as f64) <= slot + uneven, "{name}: {least} to {most} ms");
            let (last, at) = *seen.0.last().unwrap();
            assert_eq!(last, pictures, "{name}: {rate} to {limit}: the last picture is not shown");
            let waited = at - steady(rate)(pictures - 1);
            assert!(waited <= Duration::from_secs(1) / limit + ON_THE_WAY, "{name}: the last came after {waited:?}");
        }
    }
}

#[test]
fn a_source_that_is_not_too_fast_loses_nothing_however_unsteady_it_is() {
    for codec in codecs() {
        let name = codec.codec();
        for (rate, limit) in [(30.0, 30), (29.97, 30), (1_000.0 / 33.0, 30), (24.0, 30), (15.0, 15)] {
            // Early or late by up to 40 % of the time between two.
            let at = move |n: u16| steady(rate)(n) + Duration::from_secs_f64(shift(n) / rate);
            let film = move |alice: WebRtcTransport| async move {
                show(&alice, 0, 60, at).await;
            };
            let seen = call(codec.clone().framerate(limit), 5, film).numbers();
            println!("{name}: {rate:.2} to {limit}: {} of 60", seen.len());
            assert_eq!(seen, (0..60).collect::<Vec<_>>(), "{name}: {rate:.2} to {limit}");
        }
    }
}

/// 0 to 0.8, as if at random.
fn shift(n: u16) -> f64 {
    f64::from(n * 7 % 9) / 10.0
}

#[test]
fn a_new_frame_rate_acts_on_a_running_source_at_once() {
    for codec in codecs() {
        let name = codec.codec();
        let film = |alice: WebRtcTransport| async move {
            let mut next = 0;
            for limit in [20, 5, 60] {
                let options = ConfigOptions { video_framerate: Some(limit), ..Default::default() };
                alice.configure(options).await.unwrap();
                next = show(&alice, next, 120, steady(60.0)).await;
                sleep(Duration::from_secs_f64(1.0 / 60.0)).await;
            }
        };
        let seen = call(codec.framerate(60), 7, film);
        let counts = [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)].map(|(from, to)| seen.count(from + 0.25, to));
        println!("{name}: {counts:?} pictures in 1.75 s at 20, 5 and 60 a second");
        for (count, expected) in counts.into_iter().zip([35, 9, 105]) {
            assert!(count.abs_diff(expected) <= 1, "{name}: {counts:?}");
        }
    }
}

#[test]
fn every_picture_that_is_not_shown_is_counted_as_replaced() {
    run_virtual(152, |network| async move {
        let world = World::clean(network);
        let codec = VideoCodec::vp8().size(SIZE.0, SIZE.1).bitrate_kbps(4_000).framerate(10);
        let alice = world.join_with("alice", |c| (c.video_codec, c.adaptive_bitrate_enabled) = (codec, false)).await;
        let bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        assert_eq!(alice.pictures_replaced().unwrap(), 0);
        let watching = tokio::spawn(async move { watch(&bob, "alice", Instant::now() + Duration::from_secs(5)).await });
        // Three times as many as the frame rate allows, then five of which the encoder sees one.
        let next = show(&alice, 0, 90, steady(30.0)).await;
        let thinned = alice.pictures_replaced().unwrap();
        assert!((58..=61).contains(&thinned), "{thinned} of 90");
        sleep(Duration::from_secs(1)).await;
        let clip = clip();
        for number in next..next + 5 {
            alice.send_to_peer("bob", &RuntimeData::from(picture(&clip, number))).await.unwrap();
        }
        let seen: Vec<u16> = watching.await.unwrap().into_iter().map(|(number, ..)| number).collect();
        let replaced = alice.pictures_replaced().unwrap();
        assert_eq!(seen.len() as u64 + replaced, 95, "{replaced} were replaced, seen were {seen:?}");
        assert_eq!(seen.last(), Some(&94));
    });
}
