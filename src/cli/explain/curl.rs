//! curl commands, as far as they say what a request is.

use super::request::Request;

/// Options that take a value which says nothing of the request.
const WITH_VALUE: [&str; 16] = [
    "-c",
    "-m",
    "-o",
    "-w",
    "-x",
    "-E",
    "--cacert",
    "--cert",
    "--connect-timeout",
    "--key",
    "--max-time",
    "--output",
    "--proxy",
    "--resolve",
    "--retry",
    "--write-out",
];

/// Reads a curl command; its first word may be `curl`.
pub(super) fn parse(command: &str) -> Result<Request, String> {
    let words = split_words(command)?;
    let mut words = words.into_iter().skip_while(|it| it == "curl").peekable();
    let mut curl = Curl::default();
    while let Some(word) = words.next() {
        if !word.starts_with('-') || word == "-" {
            curl.url(&word)?;
            continue;
        }
        let (option, attached) = split_option(&word);
        if WITH_VALUE.contains(&option) {
            if attached.is_none() {
                words.next();
            }
            continue;
        }
        if takes_value(option) {
            let value = match attached {
                Some(value) => value.to_owned(),
                None => words
                    .next()
                    .ok_or_else(|| format!("{option} lacks its value"))?,
            };
            curl.option(option, value)?;
        } else {
            curl.flag(option);
        }
    }
    curl.into_request()
}

/// `-XPOST` is `-X POST`, and `--request=POST` is not curl's way but common.
fn split_option(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        return match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
    }
    let (option, rest) = word.split_at(word.char_indices().nth(2).map_or(word.len(), |it| it.0));
    let combined = !takes_value(option) && !WITH_VALUE.contains(&option);
    match rest {
        // `-sS` are two flags; what they are does not matter here.
        "" => (option, None),
        _ if combined => (word, None),
        value => (option, Some(value)),
    }
}

fn takes_value(option: &str) -> bool {
    matches!(
        option,
        "-A" | "--user-agent"
            | "-b"
            | "--cookie"
            | "-d"
            | "--data"
            | "--data-ascii"
            | "--data-binary"
            | "--data-raw"
            | "-e"
            | "--referer"
            | "-H"
            | "--header"
            | "--json"
            | "-u"
            | "--user"
            | "-X"
            | "--request"
            | "--url"
    )
}

#[derive(Debug, Default)]
struct Curl {
    method: Option<String>,
    url: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    data: Option<String>,
    data_as_query: bool,
}

impl Curl {
    fn url(&mut self, url: &str) -> Result<(), String> {
        match self.url.replace(url.to_owned()) {
            Some(first) => Err(format!("two addresses, {first:?} and {url:?}")),
            None => Ok(()),
        }
    }

    fn flag(&mut self, option: &str) {
        match option {
            "-G" | "--get" => self.data_as_query = true,
            "-I" | "--head" => self.method = Some("HEAD".into()),
            _ => {}
        }
    }

    fn option(&mut self, option: &str, value: String) -> Result<(), String> {
        match option {
            "-A" | "--user-agent" => self.field("user-agent", &value),
            "-b" | "--cookie" => self.field("cookie", &value),
            "-e" | "--referer" => self.field("referer", &value),
            "-H" | "--header" => {
                let (name, value) = value
                    .split_once(':')
                    .ok_or_else(|| format!("{value:?} is no header: write \"name: value\""))?;
                self.field(name.trim(), value.trim());
            }
            "-u" | "--user" => self.field("authorization", "Basic …"),
            "-X" | "--request" => self.method = Some(value),
            "--url" => self.url(&value)?,
            _ => {
                if value.starts_with('@') && option != "--data-raw" {
                    return Err(format!(
                        "{option} {value}: give the body itself, not a file"
                    ));
                }
                if option == "--json" {
                    self.field("content-type", "application/json");
                    self.field("accept", "application/json");
                }
                match &mut self.data {
                    Some(data) => {
                        data.push('&');
                        data.push_str(&value);
                    }
                    None => self.data = Some(value),
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: &str) {
        self.fields
            .push((name.to_owned(), value.as_bytes().to_vec()));
    }

    fn into_request(mut self) -> Result<Request, String> {
        let url = self.url.take().ok_or("the command has no address")?;
        let rest = match url.split_once("://") {
            Some(("http" | "https", rest)) => rest,
            Some((scheme, _)) => return Err(format!("{scheme}:// is no HTTP")),
            None => &url,
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let mut target = match target {
            target if target.starts_with('/') => target.to_owned(),
            target => format!("/{target}"),
        };
        target.truncate(target.find('#').unwrap_or(target.len()));
        if self.data_as_query
            && let Some(data) = self.data.take()
        {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(&data);
        }
        let named = |name: &str| self.fields.iter().any(|it| it.0.eq_ignore_ascii_case(name));
        if !named("host") {
            self.fields.insert(0, ("host".into(), authority.into()));
        }
        let port = authority.rsplit_once(':').and_then(|it| it.1.parse().ok());
        let method = match (self.method, &self.data) {
            (Some(method), _) => method,
            (None, Some(_)) => "POST".into(),
            (None, None) => "GET".into(),
        };
        Ok(Request {
            method,
            target,
            fields: self.fields,
            body: self.data.unwrap_or_default().into_bytes(),
            port,
            recorded: None,
        })
    }
}

/// Splits a command as a shell does, without expanding anything.
fn split_words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => word.get_or_insert_default().push_str(&quoted(&mut chars)?),
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                // A line that goes on.
                Some('\n') | None => {}
                Some(c) => word.get_or_insert_default().push(c),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>) -> Result<String, String> {
    let rest = chars.as_str();
    let (inside, after) = rest.split_once('\'').ok_or("a quote `'` is not closed")?;
    *chars = after.chars();
    Ok(inside.to_owned())
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match chars.next().ok_or("a quote `\"` is not closed")? {
            '"' => return Ok(()),
            '\\' => match chars.next() {
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some('\n') => {}
                Some(c) => word.extend(['\\', c]),
                None => {}
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_of_a_documentation_is_read() {
        let request = parse(
            "curl -sS http://127.0.0.1:9000/v1/chat/completions \\\n  -H \"Content-Type: application/json\" \\\n  -d '{\"model\": \"m\"}'",
        )
        .unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.target, "/v1/chat/completions");
        assert_eq!(request.port, Some(9000));
        assert_eq!(request.host(), Some("127.0.0.1:9000"));
        assert_eq!(request.body, b"{\"model\": \"m\"}");
        assert_eq!(request.fields[1].0, "Content-Type");
    }

    #[test]
    fn methods_and_queries_follow_curl() {
        assert_eq!(parse("h/x").unwrap().method, "GET");
        assert_eq!(parse("-XPUT h/x").unwrap().method, "PUT");
        assert_eq!(parse("-I h/x").unwrap().method, "HEAD");
        assert_eq!(
            parse("-G -d a=1 -d b=2 h?c=3").unwrap().target,
            "/?c=3&a=1&b=2"
        );
        assert_eq!(parse("-o out -m 5 h").unwrap().target, "/");
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for (command, says) in [
            ("curl", "no address"),
            ("curl a b", "two addresses"),
            ("curl 'a", "not closed"),
            ("curl -H x a", "no header"),
            ("curl a -d", "lacks its value"),
            ("curl a -d @f", "not a file"),
            ("curl ftp://a", "no HTTP"),
        ] {
            let error = parse(command).unwrap_err();
            assert!(error.contains(says), "{command}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,60}") {
            drop(parse(&text));
        }
    }
}
