//! Renderers over what a run left behind: one file a format. They read plain data and never the
//! state of a live proxy.

mod html;
mod json;
pub mod number;
mod plot;
mod run;
mod text;
mod verdict;

pub use self::run::{Energy, OutcomeEnergy, Phase, PhaseEnergy, RuleCount, Run};
pub use self::verdict::{Headline, headlines, verdict};

/// A format that a report can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One self-contained file.
    Html,
    Json,
    /// For a terminal.
    Text,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Html, Self::Json, Self::Text];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Text => "text",
        }
    }

    pub fn render(self, run: &Run) -> Result<String, RenderError> {
        let mut out = String::new();
        match self {
            Self::Html => html::render(&mut out, run)?,
            Self::Json => json::render(&mut out, run)?,
            Self::Text => {
                text::render(&mut out, run)?;
                // Terminals and what reads from them know one space.
                out = out.replace('\u{a0}', " ");
            }
        }
        Ok(out)
    }
}

/// A run could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("the report could not be written")]
    Format(#[from] std::fmt::Error),
    #[error("the report could not be written as JSON")]
    Json(#[from] serde_json::Error),
}
