//! Sans-IO playout: the audio and video jitter buffers.
