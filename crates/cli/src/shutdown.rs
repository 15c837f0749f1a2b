use std::future::Future;

/// Listens from now on for the user or the system asking the program to end; the answer returns once one does. Whoever says
/// that it is ready listens first: a program that is told to end in between has to end in order.
#[cfg(unix)]
pub(crate) fn listen() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// As on Unix, where there are signals.
#[cfg(not(unix))]
pub(crate) fn listen() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // No way to be told: run until killed.
            std::future::pending::<()>().await;
        }
    })
}
