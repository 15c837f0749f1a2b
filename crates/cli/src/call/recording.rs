//! Files that are recorded into, each written by a thread of its own.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

use anyhow::{Context, Result};

/// Where it is told, as soon as it happens, that a file cannot be read or written any more.
pub(super) type Failures = tokio::sync::mpsc::Sender<anyhow::Error>;

/// Writes what is handed to its inputs.
pub(super) struct Recorder<T> {
    queue: SyncSender<T>,
    writer: JoinHandle<()>,
}

/// The way into a [`Recorder`].
pub(super) struct Input<T>(SyncSender<T>);

impl<T: Send + 'static> Recorder<T> {
    /// Opens the file. What is in it stays until there is something to record: that is up to `write`, which gets what
    /// waits to be written, at most `waiting` of it.
    pub(super) fn create(
        path: &Path,
        waiting: usize,
        failures: Failures,
        write: fn(File, &Receiver<T>) -> io::Result<()>,
    ) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        let (queue, waits) = sync_channel(waiting);
        let path = path.to_owned();
        let writer = std::thread::spawn(move || {
            if let Err(error) = write(file, &waits) {
                // There is room for one of each file.
                let _ = failures.try_send(not_written(&path, error));
            }
        });
        Ok(Self { queue, writer })
    }

    pub(super) fn input(&self) -> Input<T> {
        Input(self.queue.clone())
    }

    /// Completes the file, once every input has been dropped.
    pub(super) fn finish(self) {
        drop(self.queue);
        if self.writer.join().is_err() {
            tracing::error!("a recorder went down");
        }
    }
}

impl<T> Input<T> {
    /// Hands over, unless too much waits already: that is lost. After a failure, which has been told, all is.
    pub(super) fn push(&self, what: T) {
        if let Err(TrySendError::Full(_)) = self.0.try_send(what) {
            tracing::warn!("the disk is too slow: something is missing in the recording");
        }
    }
}

fn not_written(path: &Path, error: io::Error) -> anyhow::Error {
    let path = path.display();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            anyhow::anyhow!("the disk is full: {path} has what was recorded until then ({error})")
        }
        _ => anyhow::Error::new(error).context(format!("{path} cannot be written")),
    }
}

/// Makes room for a recording. Devices have no length.
pub(super) fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

/// Whether both are the same file, or would be once they are written.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    a == b || resolved(a).is_some_and(|a| Some(a) == resolved(b))
}

/// The path without detours; `None` if its folder is not there.
fn resolved(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_known_under_every_spelling_whether_or_not_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("sub")).unwrap();
        for _ in 0..2 {
            for other in ["./a.wav", "sub/../a.wav"] {
                assert!(is_same(&path("a.wav"), &path(other)), "{other}");
            }
            assert!(!is_same(&path("a.wav"), &path("sub/a.wav")) && !is_same(&path("a.wav"), &path("b.wav")));
            std::fs::write(path("a.wav"), b"").unwrap();
        }
        assert!(is_same(Path::new("./nothing.wav"), Path::new("nothing.wav")));
        assert!(!is_same(Path::new("/no/such/a.wav"), Path::new("/no/such/./b.wav")));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("a.wav"), path("link.wav")).unwrap();
            assert!(is_same(&path("a.wav"), &path("link.wav")));
        }
    }

    #[test]
    fn a_full_disk_is_called_that() {
        let full = not_written(Path::new("a.wav"), io::Error::from(ErrorKind::StorageFull)).to_string();
        assert!(full.starts_with("the disk is full: a.wav"), "{full}");
        let gone = format!("{:#}", not_written(Path::new("a.wav"), io::Error::from(ErrorKind::NotFound)));
        assert!(gone.starts_with("a.wav cannot be written: "), "{gone}");
    }
}
