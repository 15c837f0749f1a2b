//! The server over real sockets, spoken to by a client that knows WebSocket and JSON and nothing else.

mod contract;
mod hostile;
mod lifecycle;
mod raw_client;
