//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::Source;

/// So many problems of a file are told; a file with more is no configuration file.
const MOST: usize = 64;

/// Whether a problem keeps the configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing wrong, where it stands and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// What was wrong, without the place.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// Where, if it stands somewhere.
    pub place: Option<Place>,
}

/// A span of bytes in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub source: Arc<Source>,
    pub span: Range<usize>,
}

impl Place {
    /// Line and column, from 1.
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.span.start)
    }
}

impl Problem {
    /// Place, message and help as one line of log, whose level tells how severe it is.
    pub fn line(&self) -> String {
        let place = self.place.as_ref().map_or(String::new(), |place| {
            let (line, column) = place.position();
            format!("{}:{line}:{column}: ", place.source.name)
        });
        let help = self
            .help
            .as_ref()
            .map_or(String::new(), |it| format!("; {it}"));
        format!("{place}{}{help}", self.message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            let (line, column) = place.position();
            write!(f, "{}:{line}:{column}: ", place.source.name)?;
        }
        write!(f, "{}: {}", self.severity.as_str(), self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// Everything found wrong, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.0.iter().any(|it| it.severity == Severity::Error)
    }

    /// Whether so much is wrong that nothing more is looked for.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Adds a problem, unless the same was said of the same place or there are too many already.
    pub fn push(&mut self, problem: Problem) {
        if !self.0.contains(&problem) && !self.is_full() {
            self.0.push(problem);
        }
    }

    /// Whether something was found wrong with exactly this place.
    pub(super) fn has_at(&self, source: &Arc<Source>, span: &Range<usize>) -> bool {
        self.0.iter().any(|it| {
            it.place
                .as_ref()
                .is_some_and(|at| at.span == *span && Arc::ptr_eq(&at.source, source))
        })
    }

    pub(super) fn error(
        &mut self,
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.push(Problem {
            severity: Severity::Error,
            message: message.into(),
            help: help.into(),
            place: Some(Place {
                source: Arc::clone(source),
                span,
            }),
        });
    }

    pub(super) fn warning(
        &mut self,
        place: Option<Place>,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.push(Problem {
            severity: Severity::Warning,
            message: message.into(),
            help: help.into(),
            place,
        });
    }

    /// By file, then by place; `files` gives the order of the files.
    pub(super) fn sort(&mut self, files: &[Arc<Source>]) {
        self.0.sort_by_key(|problem| match &problem.place {
            Some(place) => {
                let file = files.iter().position(|it| Arc::ptr_eq(it, &place.source));
                (file.unwrap_or(files.len()), place.span.start)
            }
            None => (usize::MAX, 0),
        });
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
