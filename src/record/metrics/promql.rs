//! Holds what is written by hand in `PromQL`, panels and alerts, to the metric table.

use super::{METRICS, MetricKind};

/// The metrics that a `PromQL` expression names, each of the table and with labels that it has; or
/// what is wrong with it.
pub(super) fn check(expression: &str) -> Result<usize, String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let mut named = 0;
    for word in words.filter(|it| it.starts_with("hormesis_")) {
        let metric = METRICS
            .iter()
            .find(|it| {
                it.name == word
                    || (it.kind == MetricKind::Histogram
                        && ["_bucket", "_sum", "_count"]
                            .iter()
                            .any(|end| word.strip_suffix(end) == Some(it.name)))
            })
            .ok_or_else(|| format!("{word} is no metric: {expression}"))?;
        named += 1;
        let at = expression.find(word).unwrap_or_default() + word.len();
        let Some(selector) = expression
            .get(at..)
            .and_then(|rest| rest.strip_prefix('{'))
            .and_then(|rest| rest.split_once('}'))
        else {
            continue;
        };
        for matcher in selector.0.split(',') {
            let label = matcher.split(['=', '!']).next().unwrap_or_default();
            if !["job", "instance"].contains(&label) && !metric.labels.contains(&label) {
                return Err(format!("{word} has no label {label}: {expression}"));
            }
        }
    }
    Ok(named)
}
