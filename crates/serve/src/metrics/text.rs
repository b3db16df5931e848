//! Prometheus' text format, version 0.0.4.

use std::fmt::Write as _;

/// Metrics on their way out: name by name, each with its help and type.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.head(name, help, "gauge");
        self.sample(name, None, value);
    }

    /// A number that only grows while the program runs.
    pub fn counter(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.head(name, help, "counter");
        self.sample(name, None, value);
    }

    /// A gauge for each value of a label.
    pub fn gauges<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        self.head(name, help, "gauge");
        for (of, value) in values {
            self.sample(name, Some((label, of)), value);
        }
    }

    /// A gauge for each pair of values of two labels.
    pub fn gauges_of_two<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: [&'static str; 2],
        values: impl IntoIterator<Item = ([&'a str; 2], f64)>,
    ) {
        self.head(name, help, "gauge");
        for (of, value) in values {
            let [(one, first), (other, second)] = [(labels[0], of[0]), (labels[1], of[1])];
            let _ = writeln!(
                self.text,
                "{name}{{{one}=\"{}\",{other}=\"{}\"}} {value}",
                escaped(first),
                escaped(second)
            );
        }
    }

    /// A counter for each value of a label.
    pub fn counters<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        self.head(name, help, "counter");
        for (of, value) in values {
            self.sample(name, Some((label, of)), value);
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    // Writing to a string does not fail.

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, label: Option<(&str, &str)>, value: f64) {
        let _ = match label {
            None => writeln!(self.text, "{name} {value}"),
            Some((label, of)) => writeln!(self.text, "{name}{{{label}=\"{}\"}} {value}", escaped(of)),
        };
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::Exposition;

    #[test]
    fn the_format_is_the_documented_one() {
        let mut out = Exposition::default();
        out.gauge("turepe_a_bytes", "Bytes of a.", 1_234_567_890_123.0);
        out.counters("turepe_b_total", "Bs.", "kind", [("x", 2.5), ("a\"b\\c\nd", 0.0)]);
        out.gauges_of_two("turepe_c", "Cs.", ["one", "two"], [(["x", "\"y\""], 1.0)]);
        assert_eq!(
            out.into_text(),
            "# HELP turepe_a_bytes Bytes of a.\n# TYPE turepe_a_bytes gauge\nturepe_a_bytes 1234567890123\n\
             # HELP turepe_b_total Bs.\n# TYPE turepe_b_total counter\nturepe_b_total{kind=\"x\"} 2.5\n\
             turepe_b_total{kind=\"a\\\"b\\\\c\\nd\"} 0\n# HELP turepe_c Cs.\n# TYPE turepe_c gauge\n\
             turepe_c{one=\"x\",two=\"\\\"y\\\"\"} 1\n"
        );
    }
}
