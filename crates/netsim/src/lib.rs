//! A seeded network emulator: one link model under virtual time and under real sockets.
