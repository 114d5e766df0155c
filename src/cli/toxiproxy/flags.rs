//! Flags as Go's programs take them: `-flag value`, `-flag=value` and the same with two dashes, up
//! to the first word that is no flag.

/// A flag that a command knows.
#[derive(Debug)]
pub(super) struct Flag {
    /// The first is the one that it is asked for by.
    pub(super) names: &'static [&'static str],
    /// It stands alone, or has `=true` or `=false`.
    pub(super) is_bool: bool,
}

pub(super) const fn value(names: &'static [&'static str]) -> Flag {
    Flag {
        names,
        is_bool: false,
    }
}

pub(super) const fn switch(names: &'static [&'static str]) -> Flag {
    Flag {
        names,
        is_bool: true,
    }
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    values: Vec<(&'static str, String)>,
    /// From the first word on that is no flag.
    pub(super) rest: Vec<String>,
}

impl Given {
    /// The last value of a flag.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    pub(super) fn all<'g>(&'g self, name: &str) -> impl Iterator<Item = &'g str> {
        let of_name = self.values.iter().filter(move |(it, _)| *it == name);
        of_name.map(|(_, value)| value.as_str())
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }
}

/// Why arguments were not understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FlagError {
    /// It was not a mistake: help was asked for.
    Help,
    Wrong(String),
}

/// Reads the flags before the first word that is none.
pub(super) fn parse(arguments: &[String], known: &[Flag]) -> Result<Given, FlagError> {
    let mut given = Given::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let name = word.strip_prefix("--").or(word.strip_prefix('-'));
        let Some(name) = name.filter(|_| word != "-") else {
            given.rest.push(word.clone());
            break;
        };
        if name.is_empty() {
            break; // `--` ends the flags
        }
        if name.starts_with(['-', '=']) {
            return Err(FlagError::Wrong(format!("bad flag syntax: {word}")));
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let Some(flag) = known.iter().find(|it| it.names.contains(&name)) else {
            if ["h", "help"].contains(&name) {
                return Err(FlagError::Help);
            }
            let text = format!("flag provided but not defined: -{name}");
            return Err(FlagError::Wrong(text));
        };
        let value = match (flag.is_bool, value) {
            (true, value) => boolean(name, value.as_deref())?,
            (false, Some(value)) => value,
            (false, None) => words
                .next()
                .cloned()
                .ok_or_else(|| FlagError::Wrong(format!("flag needs an argument: -{name}")))?,
        };
        given.values.push((flag.names[0], value));
    }
    given.rest.extend(words.cloned());
    Ok(given)
}

fn boolean(name: &str, value: Option<&str>) -> Result<String, FlagError> {
    match value {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok("true".to_owned()),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok("false".to_owned()),
        Some(value) => Err(FlagError::Wrong(format!(
            "invalid boolean value {value:?} for -{name}: parse error"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Flag; 3] = [
        value(&["host"]),
        value(&["attribute", "a"]),
        switch(&["version"]),
    ];

    fn parse(arguments: &[&str]) -> Result<Given, FlagError> {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        super::parse(&arguments, &KNOWN)
    }

    #[test]
    fn one_dash_two_dashes_and_equals_are_the_same() {
        for words in [
            &["-host", "a"][..],
            &["--host", "a"],
            &["-host=a"],
            &["--host=a"],
        ] {
            assert_eq!(parse(words).unwrap().value("host"), Some("a"), "{words:?}");
        }
        let given = parse(&["-a", "b=1", "-attribute=c=2", "-version", "rest", "-host"]).unwrap();
        assert_eq!(given.all("attribute").collect::<Vec<_>>(), ["b=1", "c=2"]);
        assert!(given.is_set("version"));
        assert_eq!(given.rest, ["rest", "-host"]);
        assert!(!parse(&["-version=f"]).unwrap().is_set("version"));
        assert_eq!(parse(&["--", "-host"]).unwrap().rest, ["-host"]);
        assert_eq!(parse(&["-", "-host"]).unwrap().rest, ["-", "-host"]);
    }

    #[test]
    fn mistakes_are_told_in_gos_words() {
        let wrong = |words: &[&str]| match parse(words) {
            Err(FlagError::Wrong(text)) => text,
            other => format!("{other:?}"),
        };
        assert_eq!(wrong(&["--nope"]), "flag provided but not defined: -nope");
        assert_eq!(wrong(&["-host"]), "flag needs an argument: -host");
        assert_eq!(wrong(&["---host"]), "bad flag syntax: ---host");
        assert_eq!(
            wrong(&["-version=maybe"]),
            "invalid boolean value \"maybe\" for -version: parse error"
        );
        assert_eq!(parse(&["-h"]), Err(FlagError::Help));
    }
}
