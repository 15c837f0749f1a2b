use serde_json::{Map, Value, json};

/// Figures in the order in which they were taken.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(String, Option<String>, Figure)>,
}

/// One figure: a distribution, and what it was traded for.
pub(crate) struct Figure {
    values: Vec<f64>,
    unit: &'static str,
    /// What else was true while it was measured, such as the PSNR of the pictures.
    notes: Vec<(&'static str, f64)>,
}

impl Figure {
    pub(crate) fn new(unit: &'static str, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { values, unit, notes: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.notes.push((name, value));
        self
    }

    /// The nearest-rank percentile; NaN if nothing was measured.
    pub(crate) fn percentile(&self, p: f64) -> f64 {
        let rank = (p / 100.0 * self.values.len() as f64).ceil() as usize;
        self.values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("n".into(), self.values.len().into());
        object.insert("unit".into(), self.unit.into());
        for p in [50, 95, 99] {
            object.insert(format!("p{p}"), json!(round(self.percentile(f64::from(p)))));
        }
        for (name, value) in &self.notes {
            object.insert((*name).into(), json!(round(*value)));
        }
        Value::Object(object)
    }
}

impl Report {
    pub(crate) fn add(&mut self, name: &str, figure: Figure) {
        self.push(name, None, figure);
    }

    /// Adds a figure that exists once per codec or case.
    pub(crate) fn add_case(&mut self, name: &str, case: &str, figure: Figure) {
        self.push(name, Some(case.into()), figure);
    }

    fn push(&mut self, name: &str, case: Option<String>, figure: Figure) {
        eprintln!(
            "measured {name} {}: p50 {:.3} {}",
            case.as_deref().unwrap_or(""),
            figure.percentile(50.0),
            figure.unit
        );
        self.rows.push((name.into(), case, figure));
    }

    pub(crate) fn print_table(&self) {
        println!(
            "{:<22} {:<22} {:>5} {:>9} {:>9} {:>9}  {:<6} traded for",
            "figure", "case", "n", "p50", "p95", "p99", "unit"
        );
        for (name, case, figure) in &self.rows {
            let notes: Vec<_> = figure.notes.iter().map(|(name, value)| format!("{name} {:.2}", value)).collect();
            println!(
                "{name:<22} {:<22} {:>5} {:>9.3} {:>9.3} {:>9.3}  {:<6} {}",
                case.as_deref().unwrap_or(""),
                figure.values.len(),
                figure.percentile(50.0),
                figure.percentile(95.0),
                figure.percentile(99.0),
                figure.unit,
                notes.join(", "),
            );
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut object = Map::new();
        for (name, case, figure) in &self.rows {
            match case {
                None => drop(object.insert(name.clone(), figure.to_json())),
                Some(case) => {
                    let cases = object.entry(name.clone()).or_insert_with(|| json!({}));
                    cases[case] = figure.to_json();
                }
            }
        }
        Value::Object(object)
    }
}

fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
