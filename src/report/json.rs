//! The run as data.

use super::run::Run;

pub(super) fn render(out: &mut String, run: &Run) -> Result<(), serde_json::Error> {
    out.push_str(&serde_json::to_string_pretty(run)?);
    out.push('\n');
    Ok(())
}
