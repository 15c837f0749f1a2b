use crate::Error;

/// What was beyond what is promised of it.
#[derive(Default)]
pub(crate) struct Limits {
    beyond: Vec<String>,
}

impl Limits {
    /// A figure that was not taken is no number, and keeps no promise.
    pub(crate) fn at_most(&mut self, figure: &str, value: f64, promised: f64) {
        if value.is_nan() || value > promised {
            self.beyond.push(format!("{figure}: {value:.3} is more than {promised:.3}"));
        }
    }

    /// As [`at_most`](Self::at_most), for figures of which more is better.
    pub(crate) fn at_least(&mut self, figure: &str, value: f64, promised: f64) {
        if value.is_nan() || value < promised {
            self.beyond.push(format!("{figure}: {value:.3} is less than {promised:.3}"));
        }
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        if self.beyond.is_empty() { Ok(()) } else { Err(self.beyond.join("; ").into()) }
    }
}
