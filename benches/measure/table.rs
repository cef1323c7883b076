//! Samples of several rounds and how they are printed.

use std::collections::BTreeMap;

/// One value of each round.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        }
    }

    pub fn each(&self, change: impl Fn(f64) -> f64) -> Self {
        self.0.iter().copied().map(change).collect()
    }

    /// Round by round.
    pub fn over(&self, baseline: &Self) -> Self {
        assert_eq!(self.0.len(), baseline.0.len());
        Self(self.0.iter().zip(&baseline.0).map(|(own, base)| own / base).collect())
    }

    /// `median (lowest–highest)`.
    pub fn show(&self) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.0.len() {
            0 => "–".to_owned(),
            1 => number(least),
            _ => format!("{} ({}–{})", number(self.median()), number(least), number(most)),
        }
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Three figures or all before the point.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => grouped(value.round() as i64),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn grouped(value: i64) -> String {
    if value.abs() < 1000 {
        value.to_string()
    } else {
        format!("{},{:03}", grouped(value / 1000), (value % 1000).abs())
    }
}

/// Rows by name, columns by name, a sample in each cell.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<String>,
    columns: Vec<String>,
    cells: BTreeMap<(String, String), Samples>,
}

impl Table {
    /// Adds one round's value.
    pub fn note(&mut self, row: &str, column: &str, value: f64) {
        for (names, name) in [(&mut self.rows, row), (&mut self.columns, column)] {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        self.cells.entry((row.to_owned(), column.to_owned())).or_default().push(value);
    }

    pub fn get(&self, row: &str, column: &str) -> Samples {
        self.cells.get(&(row.to_owned(), column.to_owned())).cloned().unwrap_or_default()
    }

    /// The ratio of two rows, round by round.
    pub fn ratio(&self, column: &str, row: &str, baseline: &str) -> Samples {
        self.get(row, column).over(&self.get(baseline, column))
    }

    /// The ratio of two columns, round by round.
    pub fn ratio_of_columns(&self, row: &str, column: &str, baseline: &str) -> Samples {
        self.get(row, column).over(&self.get(row, baseline))
    }

    pub fn print(&self) {
        let columns = std::iter::once(String::new()).chain(self.columns.iter().cloned());
        let mut lines = vec![columns.collect::<Vec<_>>()];
        for row in &self.rows {
            let cells = self.columns.iter().map(|column| self.get(row, column).show());
            lines.push(std::iter::once(row.clone()).chain(cells).collect());
        }
        print_lines(&lines);
    }
}

/// What a ratio should be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// The design names none.
    None,
}

/// Ratios beside their targets.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<Vec<String>>);

impl Verdicts {
    pub fn add(&mut self, what: &str, samples: &Samples, target: Target) {
        let median = samples.median();
        let (wanted, is_met) = match target {
            Target::AtLeast(least) => (format!("≥ {}", number(least)), Some(median >= least)),
            Target::AtMost(most) => (format!("≤ {}", number(most)), Some(median <= most)),
            Target::None => (String::new(), None),
        };
        let verdict = is_met.map_or("", |met| if met { "met" } else { "missed" });
        self.0.push(vec![what.to_owned(), samples.show(), wanted, verdict.to_owned()]);
    }

    pub fn print(mut self) {
        self.0.insert(0, ["ratio or figure", "median (min–max)", "target", ""].map(str::to_owned).to_vec());
        println!();
        print_lines(&self.0);
    }
}

/// Columns as wide as their widest cell: the first to the left, the others to the right.
fn print_lines(lines: &[Vec<String>]) {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    for line in lines {
        let others = line.iter().zip(&widths).skip(1).map(|(cell, width)| format!("  {cell:>width$}"));
        let text = format!("{:1$}{2}", line[0], widths[0], others.collect::<String>());
        println!("{}", text.trim_end());
    }
}
