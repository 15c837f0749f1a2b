//! What is changed on a transport that runs, and holds when it is started again.

use remotemedia_media::{Bitrate, MediaKind};

use super::running::{Running, config_error};
use crate::{
    config::{ConfigOptions, check_jitter_size},
    error::Result,
};

/// Every change so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    options: ConfigOptions,
    audio_muted: bool,
    video_muted: bool,
}

impl Live {
    /// Keeps what `options` change.
    pub(super) fn keep(&mut self, options: ConfigOptions) {
        let ConfigOptions {
            adaptive_bitrate_enabled,
            target_bitrate_kbps,
            audio_bitrate_kbps,
            video_framerate,
            jitter_buffer_size_ms,
        } = options;
        let kept = &mut self.options;
        kept.adaptive_bitrate_enabled = adaptive_bitrate_enabled.or(kept.adaptive_bitrate_enabled);
        kept.target_bitrate_kbps = target_bitrate_kbps.or(kept.target_bitrate_kbps);
        kept.audio_bitrate_kbps = audio_bitrate_kbps.or(kept.audio_bitrate_kbps);
        kept.video_framerate = video_framerate.or(kept.video_framerate);
        kept.jitter_buffer_size_ms = jitter_buffer_size_ms.or(kept.jitter_buffer_size_ms);
    }

    /// Keeps whether media of `kind` is muted.
    pub(super) fn keep_muted(&mut self, kind: MediaKind, muted: bool) {
        match kind {
            MediaKind::Audio => self.audio_muted = muted,
            MediaKind::Video => self.video_muted = muted,
        }
    }
}

impl Running {
    /// Takes over what was changed before the last shutdown.
    pub(super) fn take_over(&self, live: &Live) -> Result<()> {
        self.engine.sending.set_muted(MediaKind::Audio, live.audio_muted);
        self.engine.sending.set_muted(MediaKind::Video, live.video_muted);
        self.apply(&live.options)
    }

    /// Changes settings, on live connections too. Values out of range must have been refused before.
    pub(super) fn apply(&self, options: &ConfigOptions) -> Result<()> {
        let start = options.jitter_buffer_size_ms.map(check_jitter_size).transpose()?;
        let sending = &self.engine.sending;
        if let Some(kbps) = options.audio_bitrate_kbps {
            sending.set_audio_bitrate(Bitrate::from_kbps(kbps));
        }
        sending.change_video(|video| {
            if let Some(kbps) = options.target_bitrate_kbps {
                video.bitrate = Bitrate::from_kbps(kbps);
            }
            if let Some(fps) = options.video_framerate {
                video.framerate = fps;
            }
            if let Some(adaptive) = options.adaptive_bitrate_enabled {
                video.adaptive = adaptive;
            }
        });
        if let Some(start) = start {
            self.engine.set_playout(|playout| playout.start = start);
        }
        sending.update_bounds().map_err(config_error)
    }
}
