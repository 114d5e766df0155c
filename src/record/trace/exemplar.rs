//! Exemplars: for each bucket of the calls' durations the trace of the last call that fell into it,
//! so that a dashboard leads from a slow bucket to a slow call. Kept where spans are sent, off the
//! data path; shown in the `OpenMetrics` form alone, which is the one that has them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::histogram::Bounds;
use crate::record::{Record, TraceContext};

/// The metric that has exemplars.
pub(crate) const METRIC: &str = "hormesis_call_duration_seconds_bucket";
/// Listeners and protocols that are kept.
const SERIES: usize = 256;

/// One call that stands for a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    pub trace: String,
    pub seconds: f64,
    /// Seconds since 1970 at its end.
    pub at: f64,
}

/// By listener and protocol: an exemplar for each bucket, in order.
pub type Exemplars = BTreeMap<(Arc<str>, &'static str), Vec<Option<Exemplar>>>;

/// Written by the log's thread, read by scrapes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<Mutex<Exemplars>>);

impl Kept {
    pub(crate) fn note(&self, record: &Record, context: &TraceContext) {
        let seconds = record.timing.total.as_secs_f64();
        let bucket = Bounds::CALL.seconds().position(|bound| seconds <= bound);
        let ended = record.started + record.timing.total;
        let at = ended
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let exemplar = Exemplar {
            trace: context.trace_id(),
            seconds,
            at: at.as_secs_f64(),
        };
        let buckets = Bounds::CALL.seconds().count() + 1;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(&record.listener), record.protocol);
        if kept.len() >= SERIES && !kept.contains_key(&key) {
            return;
        }
        let series = kept.entry(key).or_insert_with(|| vec![None; buckets]);
        if let Some(place) = series.get_mut(bucket.unwrap_or(buckets - 1)) {
            *place = Some(exemplar);
        }
    }

    pub(crate) fn read(&self) -> Exemplars {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }
}

/// Adds the exemplars to a text in the `OpenMetrics` form. The encoder of the metrics has no door
/// for them from outside.
pub(crate) fn with_exemplars(text: &str, exemplars: &Exemplars) -> String {
    let mut out = String::with_capacity(text.len() + 4096);
    for line in text.lines() {
        out.push_str(line);
        if let Some(found) = line
            .strip_prefix(METRIC)
            .and_then(|rest| of_line(rest, exemplars))
        {
            // Writing to a string does not fail.
            let written = write!(
                out,
                " # {{trace_id=\"{}\"}} {} {:.3}",
                found.trace, found.seconds, found.at
            );
            debug_assert!(written.is_ok());
        }
        out.push('\n');
    }
    out
}

/// The exemplar of a bucket's line, of which the metric's name was taken: `{le="0.05",…} 7`.
fn of_line<'e>(rest: &str, exemplars: &'e Exemplars) -> Option<&'e Exemplar> {
    let (bound, labels) = rest.strip_prefix("{le=\"")?.split_once("\",")?;
    let bound: f64 = bound.parse().ok()?;
    // Names of listeners are those of TOML tables: compared as they are shown.
    let series = exemplars.iter().find(|((listener, protocol), _)| {
        let shown = listener.replace('\\', "\\\\").replace('"', "\\\"");
        let shown = shown.replace('\n', "\\n");
        labels.starts_with(&format!("listener=\"{shown}\",protocol=\"{protocol}\"}} "))
    });
    let mut bounds = Bounds::CALL.seconds().chain([f64::INFINITY]);
    let bucket = bounds.position(|it| it.total_cmp(&bound).is_eq())?;
    series?.1.get(bucket)?.as_ref()
}
