//! What never came is counted: of sound all that the path loses, of pictures, which are sent again, nothing.

use remotemedia_mesh::{Mesh, ReceiveMetrics};
use remotemedia_netsim::virt::run_virtual;
use tokio::time::sleep;

use crate::{
    calls::film,
    world::{MS, SECOND, World, begun, report, talk},
};

fn received(mesh: &Mesh) -> (ReceiveMetrics, ReceiveMetrics) {
    let metrics = &mesh.peers()[0].metrics;
    (metrics.audio_received, metrics.video_received)
}

/// How many packets were sent, and what the other side says of them.
type Sent = (u32, ReceiveMetrics);

/// A minute of sound and pictures. What came of them is judged in here, where a failure tells the seed.
fn a_minute(loss: f64, outage: bool, judge: impl FnOnce(Sent, Sent) + Send + 'static) {
    run_virtual(1, move |net| async move {
        let minute = SECOND * 60;
        let world = World::new(net, loss);
        let (alice, bob) = world.call().await;
        if outage {
            bob.host.schedule_outage(SECOND * 10, SECOND);
        }
        let sound = tokio::spawn(talk(alice.mesh.clone(), vec![bob.id.clone()], minute));
        let pictures = tokio::spawn(film(alice.mesh.clone(), bob.id.clone(), 3, minute));
        let (sound, pictures) = (sound.await.unwrap(), pictures.await.unwrap());
        // Measured once a second.
        sleep(MS * 1_100).await;
        let (audio, video) = received(&bob.mesh);
        judge((sound, audio), (pictures, video));
    });
}

#[test]
fn of_sound_all_that_the_path_loses_and_of_pictures_nothing() {
    let _running = begun();
    a_minute(0.05, false, |(sound, audio), (pictures, video)| {
        report(&format!("5 % loss: {audio:?} of {sound} sent, {video:?} of {pictures} sent"));
        let share = |part: u64, whole: u32| part as f64 / f64::from(whole);
        for (sent, kind) in [(sound, &audio), (pictures, &video)] {
            assert!((0.03..0.07).contains(&share(kind.lost, sent)), "{kind:?} of {sent}");
            assert!(kind.jitter < MS * 5, "the path takes the same time for all: {kind:?}");
        }
        // Those of the last second may still come, and nobody knows of those after the last that came.
        let unknown = u64::from(sound) - audio.packets - audio.missing;
        assert!(audio.missing > 0 && unknown <= 10, "{audio:?} of {sound}");
        assert!(audio.lost.abs_diff(audio.missing) <= 10, "sound is not sent again: {audio:?}");
        assert_eq!(video.missing, 0, "{video:?}");
        assert!(u64::from(pictures) - video.packets <= 3, "{video:?} of {pictures}");
    });
}

#[test]
fn nothing_on_a_good_path() {
    let _running = begun();
    a_minute(0.0, false, |(sound, audio), (pictures, video)| {
        assert_eq!((audio.packets, audio.lost, audio.missing), (sound.into(), 0, 0));
        assert_eq!((video.packets, video.lost, video.missing), (pictures.into(), 0, 0));
    });
}

#[test]
fn what_an_outage_swallowed() {
    let _running = begun();
    a_minute(0.0, true, |(sound, audio), (pictures, video)| {
        report(&format!("a second of silence: {audio:?} of {sound} sent, {video:?} of {pictures} sent"));
        // 50 packets a second.
        assert!((45..=55).contains(&audio.missing), "{audio:?}");
        assert_eq!(audio.packets + audio.missing, u64::from(sound), "{audio:?}");
    });
}
