//! `hormesis init`: a commented configuration to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::console::Console;
use super::{Exit, UsageError};

/// Writes a commented configuration to start from.
#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// For which server; the full example where absent.
    preset: Option<Preset>,

    /// Writes a new file in place of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replaces the file where there is one.
    #[arg(long, requires = "output")]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    Feast,
    Kserve,
    Openai,
    Postgres,
    Redis,
    Triton,
    Vllm,
}

/// What is shipped under config/ is what `init` writes.
const FULL: &str = include_str!("../../config/hormesis.toml");
const FEAST: &str = include_str!("../../config/feast.toml");
const OPENAI: &str = include_str!("../../config/openai.toml");
const OPEN_INFERENCE: &str = include_str!("../../config/open-inference.toml");
const REDIS: &str = include_str!("../../config/redis.toml");

impl Preset {
    fn text(self) -> String {
        match self {
            Self::Feast => FEAST.to_owned(),
            Self::Kserve => OPEN_INFERENCE.to_owned(),
            Self::Openai | Self::Vllm => OPENAI.to_owned(),
            Self::Postgres => REDIS
                .replace("redis", "postgres")
                .replace("Redis", "PostgreSQL")
                .replace("6379", "5432")
                .replace("9379", "9432"),
            Self::Redis => REDIS.to_owned(),
            // Triton's HTTP port is 8000, KServe's 8080.
            Self::Triton => OPEN_INFERENCE.replace("8080", "8000"),
        }
    }
}

pub(super) fn run(arguments: &InitArguments, console: &Console) -> anyhow::Result<Exit> {
    let text = arguments
        .preset
        .map_or_else(|| FULL.to_owned(), Preset::text);
    let Some(path) = &arguments.output else {
        console.text(&text)?;
        return Ok(Exit::Fine);
    };
    write(path, &text, arguments.force)?;
    let shown = path.display();
    console.line(format_args!("wrote {shown}; next: hormesis check {shown}"))?;
    Ok(Exit::Fine)
}

fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    if force {
        options.write(true).create(true).truncate(true);
    } else {
        options.write(true).create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(UsageError(format!(
            "{} is there already; --force replaces it",
            path.display()
        ))
        .into()),
        other => other.with_context(|| format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::{Inputs, Source, resolve};

    #[test]
    fn every_preset_is_a_configuration_without_mistakes() {
        for preset in Preset::value_variants() {
            let source = Arc::new(Source::new(format!("{preset:?}"), preset.text()));
            if let Err(problems) = resolve(&[source], &Inputs::new(&|_| None)) {
                panic!("{problems}");
            }
        }
    }
}
