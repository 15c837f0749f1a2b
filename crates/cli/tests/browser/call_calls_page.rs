//! `remotemedia call` calls a page: each sees and hears the other, and the recordings have what the page sent.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded, is_full_size, number},
    picture::{self, TEST_PICTURE},
    serve::{Call, Serve},
    sound, turn,
};

in_each_codec!();

fn check(kind: Kind, codec: &str) {
    let _turn = turn();
    let serve = Serve::start();
    let folder = tempfile::tempdir().unwrap();
    let (video, audio) = (folder.path().join("out.y4m"), folder.path().join("out.wav"));
    // A room without the bot, and a tone that differs from the caller's.
    let page = Page::join(Browser::shared(kind), &serve, "page", "room=quiet&tone=660");
    page.wait_until("remotemedia.state().joined", Duration::from_secs(10));
    let name = codec.to_lowercase();
    let [video_file, audio_file] = [&video, &audio].map(|path| path.to_str().unwrap());
    let media = ["--codec", &name, "--record-video", video_file, "--record-audio", audio_file];
    let other = ["--room", "quiet", "--duration", "90", "--message", "hello, page"];
    let call = serve.call(&page.name, &[media, other].concat());
    let connected = page.connected_to(Call::NAME, Duration::from_secs(5));
    page.wait_until(&has_decoded(Call::NAME, 0), Duration::from_secs(3));
    let rate = page.frame_rate(Call::NAME, Duration::from_millis(1_500));
    let stats = page.stats(Call::NAME);
    page.shows(Call::NAME, TEST_PICTURE, Duration::from_secs(2));
    let tone = page.hears(Call::NAME, 440.0, Duration::from_secs(2));
    let told = format!("remotemedia.messages().some((m) => m.from === {:?} && m.text === 'hello, page')", Call::NAME);
    page.wait_until(&told, Duration::from_secs(5));
    page.wait_until(&is_full_size(Call::NAME), Duration::from_secs(30));
    let large = page.wait_until(&format!("{SENT}.width === 640 && {SENT}.height === 360"), Duration::from_secs(30));
    // The caller reports the size of the last picture that it decoded: as many follow as may be under way to it.
    let sent = number(&page.eval(&format!("return {SENT}.frames")));
    page.wait_until(&format!("{SENT}.width === 640 && {SENT}.frames > {sent} + 60"), Duration::from_secs(60));
    page.eval(&format!("remotemedia.hangUp({:?})", Call::NAME));
    let lines = call.finish(Duration::from_secs(60));
    let figures = &lines.last().unwrap()["peers"][&page.name];
    let (quarters, pictures) = picture::recorded(&video);
    let (hz, amplitude, seconds) = sound::recorded(&audio);
    println!(
        "{kind:?} {codec}: connected after {connected:.2?} of the page's time, the page decodes {rate:.1} frames/s and hears {tone}, \
         and sends 640x360 after another {large:.2?}; recorded {pictures} pictures and {seconds:.1} s of {hz:.1} Hz with amplitude \
         {amplitude:.2}; {figures}"
    );
    assert!(rate >= 15.0, "{rate} frames/s");
    assert_eq!(stats["in"]["video"]["codec"], codec);
    assert_eq!(figures["video"]["codec"], codec, "{figures}");
    assert!(figures["video"]["frames"].as_u64() > Some(0), "{figures}");
    assert_eq!(figures["video"]["width"], 640, "{figures}");
    assert_eq!(figures["video"]["height"], 360, "{figures}");
    assert_eq!(quarters, TEST_PICTURE);
    assert!((hz - 660.0).abs() <= 5.0, "{hz} Hz");
    assert!((0.1..0.35).contains(&amplitude), "{amplitude}");
}

/// The pictures that the page sends to the caller.
const SENT: &str = "(await remotemedia.stats('caller')).out.video";
