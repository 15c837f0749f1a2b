//! WebRTC multi-peer transport for real-time media pipelines: raw frames in, raw frames out.
