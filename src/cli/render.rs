//! Problems of a configuration for people: the place, the line itself, and the way out.

use std::fmt;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, NamedSource,
    SourceCode, SourceSpan, SpanContents,
};
use serde_json::{Value, json};

use crate::config::{Place, Problem, Severity, Source};

/// The problem as a few lines of text.
pub(super) fn problem(problem: &Problem, color: bool) -> String {
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let mut shown = String::new();
    let report = Report::new(problem);
    // The width is fixed, so that a message reads alike in a terminal, a log and a test.
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .with_context_lines(1);
    match handler.render_report(&mut shown, &report) {
        Ok(()) => shown.trim_end().to_owned(),
        Err(fmt::Error) => problem.to_string(),
    }
}

/// The problem for programs.
pub(super) fn to_json(problem: &Problem) -> Value {
    let position = problem.place.as_ref().map(Place::position);
    json!({
        "severity": problem.severity.as_str(),
        "message": problem.message,
        "help": problem.help,
        "file": problem.place.as_ref().map(|it| it.source.name.as_str()),
        "line": position.map(|(line, _)| line),
        "column": position.map(|(_, column)| column),
        "length": problem.place.as_ref().map(|it| it.span.len()),
    })
}

/// The text of a source, shared: many problems of a large file do not copy it.
#[derive(Debug)]
struct Text(Arc<Source>);

impl SourceCode for Text {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        self.0.text.read_span(span, lines_before, lines_after)
    }
}

/// A problem as miette wants it.
#[derive(Debug)]
struct Report<'p> {
    problem: &'p Problem,
    source: Option<NamedSource<Text>>,
}

impl<'p> Report<'p> {
    fn new(problem: &'p Problem) -> Self {
        let named = |source: &Arc<Source>| NamedSource::new(&source.name, Text(Arc::clone(source)));
        Self {
            problem,
            source: problem.place.as_ref().map(|it| named(&it.source)),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.problem.help.as_ref()?;
        Some(Box::new(help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|it| it as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.problem.place.as_ref()?;
        // The first line of it: a label over a whole table would hide where it starts.
        let text = place.source.text.get(place.span.clone()).unwrap_or("");
        let length = text.find('\n').unwrap_or(text.len());
        let span = SourceSpan::new(place.span.start.into(), length);
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(
            None, span,
        ))))
    }
}
