//! The state machine, driven in virtual time.

mod registration;
mod relay;
mod virtual_server;
