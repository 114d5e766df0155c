//! Commands as a shell reads them.

use std::path::Path;

/// The command that plays the demo again.
pub(super) fn again(program: &Path, seed: u64, out: Option<&Path>) -> String {
    let program = quote(&program.display().to_string());
    let out = out.map_or_else(String::new, |out| {
        format!(" --out {}", quote(&out.display().to_string()))
    });
    format!("{program} demo --seed {seed}{out}")
}

/// One word of a shell.
pub(super) fn quote(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_quoted_word_back() {
        assert_eq!(quote("/tmp/a.json"), "/tmp/a.json");
        assert_eq!(quote("/tmp/it's"), r"'/tmp/it'\''s'");
    }

    #[test]
    fn the_demo_is_called_again_as_it_was() {
        let program = Path::new("target/demo/hormesis");
        assert_eq!(
            again(program, 7, None),
            "target/demo/hormesis demo --seed 7"
        );
        assert_eq!(
            again(program, 7, Some(Path::new("my run"))),
            "target/demo/hormesis demo --seed 7 --out 'my run'"
        );
    }
}
