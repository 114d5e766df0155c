//! Rules: each by itself, and against the listeners they watch.

use crate::config::Problems;
use crate::config::document::Document;
use crate::rule::RuleSet;
use crate::snapshot::ListenerSpec;

pub(super) fn resolve(
    document: &Document<'_>,
    _listeners: &[Option<ListenerSpec>],
    problems: &mut Problems,
) -> Option<RuleSet> {
    for located in &document.rules {
        for complaint in located.value.check() {
            located.error(
                problems,
                &complaint.field,
                complaint.message,
                complaint.help,
            );
        }
    }
    Some(RuleSet::default())
}
