//! Reads the sources for `tests/tidy.rs`: what a file uses, its comments, strings and tests left out.

use std::fs;
use std::path::Path;

/// One file under `src/`.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the repository's root.
    pub(crate) path: String,
    /// The top-level module that it belongs to.
    pub(crate) module: String,
    /// The module below that, where there is one.
    pub(crate) submodule: Option<String>,
    pub(crate) text: String,
    /// The text with comments, literals and test-only items blanked; lines stay where they are.
    code: String,
}

/// A use of a top-level module.
#[derive(Debug)]
pub(crate) struct Used {
    pub(crate) module: String,
    pub(crate) line: usize,
}

/// All files under `src/` that are part of the program.
pub(crate) fn sources(root: &Path) -> Vec<Source> {
    let all = texts(root, &["src"]);
    let test_only: Vec<String> = all
        .iter()
        .flat_map(|(path, text)| test_modules(path, text))
        .collect();
    all.iter()
        .filter(|(path, _)| {
            path.rsplit_once('.')
                .is_some_and(|(_, extension)| extension == "rs")
        })
        .filter(|(path, _)| !test_only.iter().any(|it| is_within(path, it)))
        .map(|(path, text)| Source::of(path, text))
        .collect()
}

/// All text files below these folders, with their paths from the root.
pub(crate) fn texts(root: &Path, folders: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut pending: Vec<_> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = pending.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue; // not every folder exists yet
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                let name = entry.file_name();
                if name != "target" && name != "__pycache__" && name != "corpus" {
                    pending.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let short = path.strip_prefix(root).unwrap_or(&path);
                found.push((short.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The files, without `.rs` or `/mod.rs`, of `#[cfg(test)] mod name;`.
fn test_modules(path: &str, text: &str) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    let folder = match stem.rsplit_once('/') {
        Some((folder, "mod" | "lib" | "main")) => folder,
        _ => stem,
    };
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            continue;
        }
        let Some(mut item) = lines.next() else { break };
        let elsewhere = item.strip_prefix("#[path = \"");
        if elsewhere.is_some() {
            item = lines.next().unwrap_or_default();
        }
        let name = item
            .split("mod ")
            .nth(1)
            .and_then(|it| it.strip_suffix(';'));
        match elsewhere.and_then(|it| it.strip_suffix(".rs\"]")) {
            // A `#[path]` is read from the file's own folder.
            Some(file) => found.push(format!(
                "{}/{file}",
                path.rsplit_once('/').unwrap_or_default().0
            )),
            None => found.extend(name.map(|name| format!("{folder}/{name}"))),
        }
    }
    found
}

fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

impl Source {
    pub(crate) fn of(path: &str, text: &str) -> Self {
        let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut parts = inside.split('/');
        let module = parts.next().unwrap_or_default().to_owned();
        let submodule = parts.next().filter(|it| *it != "mod").map(str::to_owned);
        let code = without_tests(&without_literals(text));
        Self {
            path: path.to_owned(),
            module,
            submodule,
            text: text.to_owned(),
            code,
        }
    }

    /// Every top-level module that the code names: by `crate::x`, in a `crate::{…}` list, or by
    /// as many `super::` as it takes.
    pub(crate) fn top_level_uses(&self) -> Vec<Used> {
        let mut found = Vec::new();
        self.paths_from("crate::", &mut found);
        self.paths_from(&"super::".repeat(self.depth()), &mut found);
        found
    }

    /// The lines on which the code names something: a path, or its beginning.
    pub(crate) fn mentions(&self, name: &str) -> Vec<usize> {
        let mut found: Vec<usize> = self
            .occurrences(name)
            .filter(|end| name.ends_with(':') || !self.code[*end..].starts_with(is_word))
            .map(|end| self.line_of(end - name.len()))
            .collect();
        if let Some(module) = name.strip_prefix("crate::") {
            let uses = self.top_level_uses();
            found.extend(
                uses.iter()
                    .filter(|it| it.module == module)
                    .map(|it| it.line),
            );
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// How many `super::` lead from this file's module to the crate's root.
    fn depth(&self) -> usize {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let inside = inside.strip_suffix("/mod").unwrap_or(inside);
        inside.split('/').count()
    }

    fn paths_from(&self, start: &str, found: &mut Vec<Used>) {
        for end in self.occurrences(start) {
            let rest = self.code[end..].trim_start();
            let line = self.line_of(end);
            if rest.starts_with('{') {
                let names = group(rest);
                found.extend(names.into_iter().map(|module| Used { module, line }));
            } else {
                let module: String = rest.chars().take_while(|c| is_word(*c)).collect();
                // `super::super::super::…` leads through here more than once.
                if !module.is_empty() && module != "super" {
                    found.push(Used { module, line });
                }
            }
        }
    }

    /// Where each occurrence of `name` ends, if no longer word begins before it.
    fn occurrences<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(name).filter_map(move |(at, _)| {
            let before = self.code[..at].chars().next_back();
            let alone =
                !before.is_some_and(|c| is_word(c) || (c == ':' && name.starts_with("super")));
            alone.then_some(at + name.len())
        })
    }

    fn line_of(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first names of `{a::b, c::{d, e}}`.
fn group(text: &str) -> Vec<String> {
    let (mut depth, mut names, mut expects) = (0_usize, Vec::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' => {
                depth += 1;
                expects = depth == 1;
            }
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => expects = true,
            c if expects && is_word(c) => {
                let mut name = String::from(c);
                while let Some(next) = chars.next_if(|c| is_word(*c)) {
                    name.push(next);
                }
                names.push(name);
                expects = false;
            }
            _ => {}
        }
    }
    names
}

/// Blanks comments, strings and characters.
fn without_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest {
            [b'/', b'/', ..] => find(rest, b"\n").unwrap_or(rest.len()),
            [b'/', b'*', ..] => find(rest, b"*/").map_or(rest.len(), |end| end + 2),
            [b'r', b'"' | b'#', ..] if at == 0 || !is_word(char::from(bytes[at - 1])) => {
                raw_string(rest)
            }
            [b'"', ..] => string(rest),
            [b'\'', b'\\', ..] => find(&rest[2..], b"'").map_or(rest.len(), |end| end + 3),
            // A character, and not a lifetime.
            [b'\'', _, b'\'', ..] => 3,
            _ => 0,
        };
        for byte in &mut out[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length.max(1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|it| it == what)
}

/// The length of `"…"`.
fn string(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of `r"…"` or `r#"…"#`; 0 where it is `r#name`.
fn raw_string(text: &[u8]) -> usize {
    let hashes = text[1..].iter().take_while(|it| **it == b'#').count();
    if text.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = 2 + hashes;
    find(&text[body..], &close).map_or(text.len(), |end| body + end + close.len())
}

/// Blanks every item under `#[cfg(test)]`: to its `;`, or to the brace that closes it.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.as_bytes().to_vec();
    for (start, _) in code.match_indices(MARK) {
        let (mut depth, mut end) = (0_usize, code.len());
        for (at, c) in code[start + MARK.len()..].char_indices() {
            let done = match c {
                '{' => {
                    depth += 1;
                    false
                }
                '}' => {
                    depth = depth.saturating_sub(1);
                    depth == 0
                }
                ';' => depth == 0,
                _ => false,
            };
            if done {
                end = start + MARK.len() + at + 1;
                break;
            }
        }
        for byte in &mut out[start..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
