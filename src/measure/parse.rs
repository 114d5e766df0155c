//! Text to expression. Every mistake is told at its place, with what would be right there.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use crate::error::nearest;
use crate::measure::expression::listed;
use crate::measure::{
    Comparison, Expression, LONGEST, ListenerName, MEASURES, Measure, Measurement, Mistake,
    Statistic, Test,
};
use crate::units::Span;

/// Where nothing else is said.
const WINDOW: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_secs(1);
/// No expression is longer by half.
const MOST_BYTES: usize = 1000;
const EXAMPLE: &str = "write it like `error_rate(chat) > 25% for 10s` or `latency.p99 <= 300ms`";

pub(super) fn parse(text: &str) -> Result<Expression, Mistake> {
    if text.len() > MOST_BYTES {
        return Err(Mistake::new(
            0..0,
            format!("an expression has {MOST_BYTES} bytes at most"),
            EXAMPLE,
        ));
    }
    Parser { text, at: 0 }.expression()
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

/// What may follow a measurement, each once.
#[derive(Default)]
struct Clauses {
    over: Option<Duration>,
    hold: Option<Duration>,
    test: Option<Test>,
}

impl<'t> Parser<'t> {
    fn expression(mut self) -> Result<Expression, Mistake> {
        let measurement = self.measurement()?;
        let mut clauses = Clauses::default();
        while !self.at_end() {
            self.clause(measurement.measure, &mut clauses)?;
        }
        let Clauses { over, hold, test } = clauses;
        // Alone, `for` is the window; beside `over` it is how long the condition must hold.
        Ok(Expression {
            measurement,
            test,
            window: over.or(hold).unwrap_or(WINDOW),
            hold: hold.filter(|_| over.is_some() && test.is_some()),
        })
    }

    fn measurement(&mut self) -> Result<Measurement, Mistake> {
        self.skip_space();
        let (span, name) = self.word(|c| c.is_ascii_alphanumeric() || "_.".contains(c));
        if name.is_empty() {
            return Err(self.no_measure(&span));
        }
        let (measure, statistic) = named(&span, name)?;
        let listeners = self.listeners()?;
        Ok(Measurement {
            measure,
            statistic,
            listeners,
        })
    }

    fn no_measure(&self, span: &Range<usize>) -> Mistake {
        let message = if self.at == self.text.len() {
            "the expression is empty"
        } else {
            "an expression begins with what it measures"
        };
        Mistake::new(self.next_char(span.start), message, EXAMPLE)
    }

    /// `(chat, api)`; none is all.
    fn listeners(&mut self) -> Result<Vec<ListenerName>, Mistake> {
        let mut listeners = Vec::new();
        self.skip_space();
        if !self.take("(") {
            return Ok(listeners);
        }
        self.skip_space();
        if self.take(")") {
            return Ok(listeners);
        }
        loop {
            self.skip_space();
            let (span, name) = self.word(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if name.is_empty() {
                let help = "write it like `error_rate(chat)`; leave the brackets out for all";
                let message = "the name of a listener stands here";
                return Err(Mistake::new(self.next_char(span.start), message, help));
            }
            listeners.push(ListenerName {
                name: name.to_owned(),
                span,
            });
            self.skip_space();
            if self.take(")") {
                return Ok(listeners);
            }
            if !self.take(",") {
                let help = "write it like `error_rate(chat)` or `error_rate(chat, api)`";
                let message = "`)` or `,` is missing here";
                return Err(Mistake::new(self.next_char(self.at), message, help));
            }
        }
    }

    fn clause(&mut self, measure: &Measure, clauses: &mut Clauses) -> Result<(), Mistake> {
        let start = self.at;
        if let Some(comparison) = self.comparison()? {
            let bound = self.value(measure)?;
            let test = Test { comparison, bound };
            if clauses.test.replace(test).is_some() {
                let help = "write two expressions: each is watched by itself";
                return Err(Mistake::new(
                    start..self.at,
                    "a second comparison stands here",
                    help,
                ));
            }
            return Ok(());
        }
        let (span, word) = self.word(|c| c.is_alphanumeric() || c == '_');
        let slot = match word {
            "over" => &mut clauses.over,
            "for" => &mut clauses.hold,
            _ => return Err(self.unexpected(&span, word)),
        };
        let time = self.time(word)?;
        if slot.replace(time).is_some() {
            let message = format!("a second `{word}` stands here");
            return Err(Mistake::new(span, message, "leave one of them out"));
        }
        Ok(())
    }

    fn comparison(&mut self) -> Result<Option<Comparison>, Mistake> {
        let (span, sign) = self.word(|c| "<>=!≤≥~".contains(c));
        Ok(Some(match sign {
            "" => return Ok(None),
            ">" => Comparison::More,
            ">=" | "≥" => Comparison::AtLeast,
            "<" => Comparison::Less,
            "<=" | "≤" => Comparison::AtMost,
            _ => {
                let message = format!("`{sign}` is no comparison of measures");
                return Err(Mistake::new(span, message, "use `>`, `>=`, `<` or `<=`"));
            }
        }))
    }

    fn value(&mut self, measure: &Measure) -> Result<crate::measure::Quantity, Mistake> {
        self.skip_space();
        let (span, text) = self.word(|c| c.is_alphanumeric() || ".+-%/µ".contains(c));
        let unit = measure.unit;
        let [first, second] = unit.examples();
        let help = format!("write it like `{first}` or `{second}`");
        if text.is_empty() {
            let message = "the value to compare with stands here";
            return Err(Mistake::new(self.next_char(span.start), message, help));
        }
        unit.parse(text).ok_or_else(|| {
            let message = format!(
                "`{}` is {}, and `{text}` is none",
                measure.name,
                unit.kind()
            );
            Mistake::new(span, message, help)
        })
    }

    fn time(&mut self, word: &str) -> Result<Duration, Mistake> {
        self.skip_space();
        let (span, text) = self.word(|c| c.is_alphanumeric() || ".-+µ".contains(c));
        let help = format!("write it like `{word} 10s` or `{word} 2m`");
        if text.is_empty() {
            let message = format!("`{word}` needs a length of time");
            return Err(Mistake::new(self.next_char(span.start), message, help));
        }
        let Ok(time) = Span::from_str(text).map(Span::get) else {
            let message = format!("`{text}` is no length of time");
            return Err(Mistake::new(span, message, help));
        };
        if (SHORTEST..=LONGEST).contains(&time) {
            return Ok(time);
        }
        let message = format!("`{text}` is not between 1s and 5m, as far back as is known");
        Err(Mistake::new(span, message, help))
    }

    fn unexpected(&self, span: &Range<usize>, word: &str) -> Mistake {
        if word.is_empty() {
            let span = self.next_char(span.start);
            let sign = &self.text[span.clone()];
            let help = "a comparison, `over 30s` or `for 10s` may follow a measurement";
            return Mistake::new(span, format!("`{sign}` does not fit here"), help);
        }
        let help = match word {
            "and" | "or" => "write two expressions: each is watched by itself".to_owned(),
            _ => match nearest(word, &["over", "for"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "a comparison, `over 30s` or `for 10s` may follow a measurement".to_owned(),
            },
        };
        Mistake::new(span.clone(), format!("`{word}` does not fit here"), help)
    }

    /// The longest run of characters that fit, maybe none.
    fn word(&mut self, fits: impl Fn(char) -> bool) -> (Range<usize>, &'t str) {
        let rest = &self.text[self.at..];
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let span = self.at..self.at + end;
        self.at = span.end;
        (span, &rest[..end])
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = self.text[self.at..].starts_with(sign);
        if there {
            self.at += sign.len();
        }
        there
    }

    fn skip_space(&mut self) {
        self.word(char::is_whitespace);
    }

    fn at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    /// The character at a place, for a mistake to point at; empty at the end.
    fn next_char(&self, at: usize) -> Range<usize> {
        let next = self.text[at..].chars().next();
        at..at + next.map_or(0, char::len_utf8)
    }
}

/// The measure of a name, `error_rate`, and the statistic of a distribution, `latency.p99`.
fn named(
    span: &Range<usize>,
    name: &str,
) -> Result<(&'static Measure, Option<Statistic>), Mistake> {
    let by_name = |name: &str| MEASURES.iter().find(|it| it.name == name);
    if let Some(measure) = by_name(name) {
        if !measure.is_distribution() {
            return Ok((measure, None));
        }
        let message = format!("`{name}` is a distribution: which number of it?");
        let help = format!(
            "write `{name}.p99`; there are {}",
            listed(&Statistic::names())
        );
        return Err(Mistake::new(span.clone(), message, help));
    }
    let Some((base, statistic)) = name.rsplit_once('.') else {
        return Err(no_such(span, name));
    };
    let Some(measure) = by_name(base) else {
        return Err(no_such(span, name));
    };
    let at = span.start + base.len() + 1..span.end;
    if !measure.is_distribution() {
        let message = format!("`{base}` is one number, it has no `{statistic}`");
        return Err(Mistake::new(at, message, format!("write `{base}`")));
    }
    let Some(found) = Statistic::by_name(statistic) else {
        let message = format!("`{base}` has no `{statistic}`");
        let help = format!("there are {}", listed(&Statistic::names()));
        return Err(Mistake::new(at, message, help));
    };
    Ok((measure, Some(found)))
}

fn no_such(span: &Range<usize>, name: &str) -> Mistake {
    let all: Vec<String> = MEASURES.iter().flat_map(Measure::full_names).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let base = name.split_once('.').map_or(name, |(base, _)| base);
    let bases: Vec<&str> = MEASURES.iter().map(|it| it.name).collect();
    let help = match nearest(name, &all).or_else(|| nearest(base, &bases)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", listed(&bases)),
    };
    Mistake::new(span.clone(), format!("there is no measure `{name}`"), help)
}
