//! What `top` reads of `/metrics`: histograms of times by listener, as counters since the start.

use std::collections::BTreeMap;

/// A histogram of times in seconds: upper bounds with the count of all that is not above each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram(Vec<(f64, f64)>);

/// Histograms by listener.
pub(super) type ByListener = BTreeMap<String, Histogram>;

/// The histograms of these names, in the order of the names.
pub(super) fn histograms<const N: usize>(text: &str, names: [&str; N]) -> [ByListener; N] {
    let mut found = names.map(|_| ByListener::new());
    for line in text.lines() {
        let Some((name, labels, value)) = sample(line) else {
            continue;
        };
        let Some(name) = name.strip_suffix("_bucket") else {
            continue;
        };
        let Some(index) = names.iter().position(|it| *it == name) else {
            continue;
        };
        let label = |wanted: &str| labels.iter().find(|(name, _)| name == wanted);
        let (Some((_, listener)), Some((_, bound))) = (label("listener"), label("le")) else {
            continue;
        };
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        let histogram = found[index].entry(listener.clone()).or_default();
        histogram.add(bound, value);
    }
    found
}

/// By name.
type Labels = Vec<(String, String)>;

/// Name, labels and value of a line of the text format; `None` for comments and what is none.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let Some((name, rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ')?;
        return Some((name, Vec::new(), value.trim().parse().ok()?));
    };
    let (labels, rest) = labels(rest)?;
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, labels, value))
}

/// `a="b",c="d"}` and what follows it.
fn labels(mut text: &str) -> Option<(Labels, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches(',');
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = quoted(rest)?;
        labels.push((name.to_owned(), value));
        text = rest;
    }
}

/// Up to the closing quote, escapes undone, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

impl Histogram {
    /// One listener may have several protocols: their counts add up.
    fn add(&mut self, bound: f64, count: f64) {
        match self
            .0
            .iter_mut()
            .find(|(own, _)| own.total_cmp(&bound).is_eq())
        {
            Some((_, sum)) => *sum += count,
            None => self.0.push((bound, count)),
        }
    }

    /// What came since `before`.
    pub(super) fn since(&self, before: Option<&Self>) -> Self {
        let old = |bound: f64| {
            let all = before.into_iter().flat_map(|it| &it.0);
            let mut same = all.filter(|(own, _)| own.total_cmp(&bound).is_eq());
            same.next().map_or(0.0, |(_, count)| *count)
        };
        let each = self
            .0
            .iter()
            .map(|&(bound, count)| (bound, count - old(bound)));
        Self(each.collect())
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for &(bound, count) in &other.0 {
            sum.add(bound, count);
        }
        sum
    }

    /// The time that a share `q` of all is not above, from a straight line through its bucket;
    /// `None` where there is none. Beyond the last bound the bound is all that is known.
    pub(super) fn quantile(&self, q: f64) -> Option<f64> {
        let mut buckets = self.0.clone();
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let total = buckets
            .last()
            .map(|(_, count)| *count)
            .filter(|it| *it > 0.0)?;
        let wanted = q * total;
        let mut below = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= wanted {
                if bound.is_infinite() {
                    return Some(below.0);
                }
                let share = (wanted - below.1) / (count - below.1).max(f64::MIN_POSITIVE);
                return Some(below.0 + (bound - below.0) * share.clamp(0.0, 1.0));
            }
            below = (bound, count);
        }
        Some(below.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP d_seconds Time.
# TYPE d_seconds histogram
d_seconds_bucket{listener=\"a\",protocol=\"http\",le=\"0.1\"} 5
d_seconds_bucket{listener=\"a\",protocol=\"http\",le=\"1.0\"} 9
d_seconds_bucket{listener=\"a\",protocol=\"http\",le=\"+Inf\"} 10
d_seconds_bucket{listener=\"a\",protocol=\"openai\",le=\"0.1\"} 5
d_seconds_bucket{listener=\"a\",protocol=\"openai\",le=\"1.0\"} 10
d_seconds_bucket{listener=\"a\",protocol=\"openai\",le=\"+Inf\"} 10
d_seconds_sum{listener=\"a\",protocol=\"http\"} 3.5
d_seconds_bucket{listener=\"say \\\"b\\\", {c}\",le=\"+Inf\"} 1
other 3
d_seconds_bucket{listener=\"torn
";

    #[test]
    fn histograms_are_read_and_added_up_by_listener() {
        let [found, none] = histograms(TEXT, ["d_seconds", "nothing"]);
        assert!(none.is_empty());
        let names: Vec<_> = found.keys().collect();
        assert_eq!(names, ["a", "say \"b\", {c}"]);
        let a = &found["a"];
        assert_eq!(a.0, [(0.1, 10.0), (1.0, 19.0), (f64::INFINITY, 20.0)]);
        assert_eq!(a.plus(a).0[0], (0.1, 20.0));
    }

    #[test]
    fn quantiles_lie_in_their_bucket() {
        let [found, _] = histograms(TEXT, ["d_seconds", "x"]);
        let a = &found["a"];
        assert_eq!(a.quantile(0.5), Some(0.1));
        let p90 = a.quantile(0.9).unwrap();
        assert!(p90 > 0.1 && p90 < 1.0, "{p90}");
        // One is above the last bound.
        assert_eq!(a.quantile(1.0), Some(1.0));
        assert_eq!(a.since(Some(a)).quantile(0.5), None);
        assert_eq!(a.since(None), *a);
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
