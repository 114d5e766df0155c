//! The conditions that stop all faults, each against the listeners that it names.

use crate::config::document::Document;
use crate::config::tree::Located;
use crate::config::{ListenerConfig, ObserveConfig, Problems, SafetyConfig};
use crate::measure::{Expression, Mistake};

/// The conditions of `stop_when` that are right.
pub(super) fn resolve(document: &Document<'_>, problems: &mut Problems) -> Vec<Expression> {
    let Some(located) = &document.safety else {
        return Vec::new();
    };
    let texts = located.value.stop_when.iter().enumerate();
    texts
        .filter_map(|(index, text)| {
            let place = Place {
                located,
                path: format!("stop_when[{index}]"),
                text,
            };
            place.condition(document, problems)
        })
        .collect()
}

/// One condition where it stands.
struct Place<'a, 'i> {
    located: &'a Located<'i, SafetyConfig>,
    path: String,
    text: &'a str,
}

impl Place<'_, '_> {
    fn condition(&self, document: &Document<'_>, problems: &mut Problems) -> Option<Expression> {
        let expression: Expression = match self.text.parse() {
            Ok(expression) => expression,
            Err(mistake) => {
                self.tell(mistake, problems);
                return None;
            }
        };
        if expression.test.is_none() {
            let measurement = &expression.measurement;
            let [example, _] = measurement.measure.unit.examples();
            let message = "this compares nothing, so it can never be true";
            let help = format!("write it like `{measurement} > {example}`");
            self.located.error(problems, &self.path, message, help);
            return None;
        }
        let known: Vec<&str> = document.listeners.keys().map(String::as_str).collect();
        // A file that could not be read may have the others.
        if !document.partial {
            for mistake in expression.check_listeners(&known) {
                self.tell(mistake, problems);
            }
        }
        self.check_tokens(&expression, document, problems);
        Some(expression)
    }

    fn tell(&self, mistake: Mistake, problems: &mut Problems) {
        let (path, text) = (&self.path, self.text);
        let Mistake {
            span,
            message,
            help,
        } = mistake;
        self.located
            .error_within(problems, path, text, &span, message, help);
    }

    /// Warns of a condition on tokens that nobody reads.
    fn check_tokens(
        &self,
        expression: &Expression,
        document: &Document<'_>,
        problems: &mut Problems,
    ) {
        let measurement = &expression.measurement;
        if !measurement.measure.needs_tokens {
            return;
        }
        let named = |name: &str| {
            let mut names = measurement.listeners.iter();
            measurement.listeners.is_empty() || names.any(|it| it.name == name)
        };
        let observes = |config: &ListenerConfig| {
            let mut observed = config.observe.iter();
            observed.any(|it| matches!(it, ObserveConfig::Tokens | ObserveConfig::UnitTimes))
        };
        let mut watched = document
            .listeners
            .iter()
            .filter(|(name, _)| named(name))
            .filter_map(|(_, it)| it.table.as_ref())
            .peekable();
        if watched.peek().is_none() || watched.any(|it| observes(&it.value)) {
            return;
        }
        let place = self.located.node.place(&self.path);
        let message = format!("`{measurement}` has no value: no tokens are read there");
        let help = "add `observe = [\"tokens\"]` to the listener".to_owned();
        problems.warning(Some(place), message, help);
    }
}
