//! `toxiproxy-cli`: proxies and toxics of a running server from a shell.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::client::{Client, ClientError, Proxy, Toxic};
use super::flags::{Flag, FlagError, Given, parse, switch, value};
use super::help;
use super::show::{BLUE, GREEN, NONE, PURPLE, Page, RED, YELLOW};
use crate::cli::console::Console;
use crate::cli::{Exit, environment};
use crate::toxiproxy::VERSION;

/// Where the server is by default.
const HOST: &str = "http://localhost:8474";
/// Toxiproxy's exit code for a command that is none.
const NO_SUCH_COMMAND: u8 = 3;

/// Why a command did nothing.
#[derive(Debug)]
enum Failure {
    /// What went wrong.
    Told(String),
    /// The same, after the command's own help.
    Usage(&'static str, String),
    /// Help was asked for.
    Help(&'static str),
    NoSuchCommand(String),
    /// Standard output is closed.
    Output(std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

type Outcome = Result<(), Failure>;

/// A command with its flags.
struct Command {
    names: &'static [&'static str],
    flags: &'static [Flag],
    help: &'static str,
    run: fn(&Given, &Client, &Console) -> Outcome,
}

const NAME: Flag = value(&["toxicName", "n"]);
const TOXICITY: Flag = value(&["toxicity", "tox"]);
const ATTRIBUTE: Flag = value(&["attribute", "a"]);

static COMMANDS: [Command; 5] = [
    Command {
        names: &["list", "l", "li", "ls"],
        flags: &[],
        help: help::LIST,
        run: list,
    },
    Command {
        names: &["inspect", "i", "ins"],
        flags: &[],
        help: help::INSPECT,
        run: inspect,
    },
    Command {
        names: &["create", "c", "new"],
        flags: &[value(&["listen", "l"]), value(&["upstream", "u"])],
        help: help::CREATE,
        run: create,
    },
    Command {
        names: &["toggle", "tog"],
        flags: &[],
        help: help::TOGGLE,
        run: toggle,
    },
    Command {
        names: &["delete", "d"],
        flags: &[],
        help: help::DELETE,
        run: delete,
    },
];

static TOXIC_COMMANDS: [Command; 3] = [
    Command {
        names: &["add", "a"],
        flags: &[
            NAME,
            value(&["type", "t"]),
            TOXICITY,
            ATTRIBUTE,
            switch(&["upstream", "u"]),
            switch(&["downstream", "d"]),
        ],
        help: help::TOXIC_ADD,
        run: add_toxic,
    },
    Command {
        names: &["update", "u"],
        flags: &[NAME, TOXICITY, ATTRIBUTE],
        help: help::TOXIC_UPDATE,
        run: update_toxic,
    },
    Command {
        names: &["remove", "r", "delete", "d"],
        flags: &[NAME],
        help: help::TOXIC_REMOVE,
        run: remove_toxic,
    },
];

/// Runs the command that the arguments name.
pub(in crate::cli) fn client(arguments: &[String], console: &Console) -> anyhow::Result<ExitCode> {
    let told = match dispatch(arguments, console) {
        Ok(()) => return Ok(Exit::Fine.into()),
        Err(Failure::Output(error)) => return Err(error.into()),
        Err(Failure::Help(text)) => {
            console.text(text)?;
            return Ok(Exit::Fine.into());
        }
        Err(Failure::NoSuchCommand(name)) => {
            console.complain(format_args!("No help topic for '{name}'"));
            return Ok(NO_SUCH_COMMAND.into());
        }
        Err(Failure::Usage(help, told)) => {
            console.text(help)?;
            told
        }
        Err(Failure::Told(told)) => told,
    };
    console.complain(format_args!("{told}"));
    Ok(Exit::Deviated.into())
}

fn dispatch(arguments: &[String], console: &Console) -> Outcome {
    let known = [
        value(&["host", "h"]),
        switch(&["help"]),
        switch(&["version", "v"]),
    ];
    let given = read(arguments, &known, help::TOP)?;
    if given.is_set("version") {
        console.line(format_args!("toxiproxy-cli version {VERSION}"))?;
        return Ok(());
    }
    let host = given.value("host").map(str::to_owned);
    let host = host.or_else(|| environment("TOXIPROXY_URL").filter(|it| !it.is_empty()));
    let client = Client::new(host.as_deref().unwrap_or(HOST));
    match given.rest.first().map(String::as_str) {
        Some("toxic" | "t") => {
            let given = read(&given.rest[1..], &[switch(&["help"])], help::TOXIC)?;
            carry_out(&TOXIC_COMMANDS, help::TOXIC, &given.rest, &client, console)
        }
        _ => carry_out(&COMMANDS, help::TOP, &given.rest, &client, console),
    }
}

fn carry_out(
    commands: &[Command],
    help: &'static str,
    words: &[String],
    client: &Client,
    console: &Console,
) -> Outcome {
    let Some((name, words)) = words.split_first() else {
        return Err(Failure::Help(help));
    };
    let named = |name: &str| commands.iter().find(|it| it.names.contains(&name));
    let unknown = |name: &str| match name {
        "toxic" | "t" => Failure::Help(help::TOXIC),
        _ => Failure::NoSuchCommand(name.to_owned()),
    };
    if ["help", "h"].contains(&name.as_str()) {
        return Err(match words.first() {
            None => Failure::Help(help),
            Some(name) => named(name).map_or_else(|| unknown(name), |it| Failure::Help(it.help)),
        });
    }
    let command = named(name).ok_or_else(|| unknown(name))?;
    let given = read(words, command.flags, command.help)?;
    (command.run)(&given, client, console)
}

/// Reads flags. `-h` is help but where it is a flag.
fn read(words: &[String], flags: &[Flag], help: &'static str) -> Result<Given, Failure> {
    match parse(words, flags) {
        Ok(given) if given.is_set("help") => Err(Failure::Help(help)),
        Ok(given) => Ok(given),
        Err(FlagError::Help) => Err(Failure::Help(help)),
        Err(FlagError::Wrong(text)) => {
            Err(Failure::Usage(help, format!("Incorrect Usage: {text}")))
        }
    }
}

fn failed(what: &str) -> impl FnOnce(ClientError) -> Failure + use<> {
    let what = what.to_owned();
    move |error| Failure::Told(format!("{what}: {error}"))
}

/// The name that a command is about.
fn proxy_name<'g>(given: &'g Given, help: &'static str) -> Result<&'g str, Failure> {
    let name = given.rest.first().filter(|it| !it.is_empty());
    name.map(String::as_str).ok_or_else(|| {
        let text = "Proxy name is required as the first argument.";
        Failure::Usage(help, text.to_owned())
    })
}

fn required<'g>(given: &'g Given, name: &str, help: &'static str) -> Result<&'g str, Failure> {
    let value = given.value(name).filter(|it| !it.is_empty());
    value.ok_or_else(|| Failure::Usage(help, format!("Required argument '{name}' was empty.")))
}

fn list(_: &Given, client: &Client, console: &Console) -> Outcome {
    let proxies = client
        .proxies()
        .map_err(failed("Failed to retrieve proxies"))?;
    let mut page = Page::new(console);
    if page.is_terminal {
        for (color, heading) in [
            (GREEN, "Name\t\t\t"),
            (BLUE, "Listen\t\t"),
            (YELLOW, "Upstream\t\t"),
            (PURPLE, "Enabled\t\t"),
            (RED, "Toxics\n"),
        ] {
            page.color(color).text(heading);
        }
        page.color(NONE).text(&"=".repeat(86)).text("\n");
        if proxies.is_empty() {
            page.color(RED).text("no proxies\n").color(NONE);
            page.hint("create a proxy with `toxiproxy-cli create`");
            return Ok(page.print(console)?);
        }
    }
    for proxy in proxies.values() {
        page.cell(color_of(proxy.enabled), &proxy.name, 3);
        page.cell(BLUE, &proxy.listen, 2);
        page.cell(YELLOW, &proxy.upstream, 3);
        page.cell(PURPLE, word_for(proxy.enabled), 2);
        let count = match proxy.toxics.len() {
            0 if page.is_terminal => "None".to_owned(),
            count => count.to_string(),
        };
        page.color(RED).text(&count).color(NONE).text("\n");
    }
    page.hint("inspect toxics with `toxiproxy-cli inspect <proxyName>`");
    Ok(page.print(console)?)
}

fn inspect(given: &Given, client: &Client, console: &Console) -> Outcome {
    let name = proxy_name(given, help::INSPECT)?;
    let proxy = client
        .proxy(name)
        .map_err(failed(&format!("Failed to retrieve proxy {name}")))?;
    let mut page = Page::new(console);
    if !page.is_terminal {
        page.toxics(&proxy.toxics, "");
        return Ok(page.print(console)?);
    }
    for (color, head, text, end) in [
        (PURPLE, "Name: ", &proxy.name, "\t"),
        (BLUE, "Listen: ", &proxy.listen, "\t"),
        (YELLOW, "Upstream: ", &proxy.upstream, "\n"),
    ] {
        page.color(color)
            .text(head)
            .color(NONE)
            .text(text)
            .text(end);
    }
    page.color(NONE).text(&"=".repeat(70)).text("\n");
    if proxy.toxics.is_empty() {
        page.color(RED);
        page.text("Proxy has no toxics enabled.\n").color(NONE);
    } else {
        let is_upstream = |toxic: &&Toxic| toxic.stream == "upstream";
        page.toxics(proxy.toxics.iter().filter(is_upstream), "Upstream");
        page.text("\n");
        let down = proxy.toxics.iter().filter(|it| !is_upstream(it));
        page.toxics(down, "Downstream");
    }
    page.hint("add a toxic with `toxiproxy-cli toxic add`");
    Ok(page.print(console)?)
}

fn create(given: &Given, client: &Client, console: &Console) -> Outcome {
    let name = proxy_name(given, help::CREATE)?;
    let proxy = Proxy {
        name: name.to_owned(),
        listen: required(given, "listen", help::CREATE)?.to_owned(),
        upstream: required(given, "upstream", help::CREATE)?.to_owned(),
        enabled: true,
        toxics: Vec::new(),
    };
    client
        .create(&proxy)
        .map_err(failed("Failed to create proxy: create"))?;
    Ok(console.line(format_args!("Created new proxy {name}"))?)
}

fn toggle(given: &Given, client: &Client, console: &Console) -> Outcome {
    let name = proxy_name(given, help::TOGGLE)?;
    let mut proxy = client
        .proxy(name)
        .map_err(failed(&format!("Failed to retrieve proxy {name}")))?;
    proxy.enabled = !proxy.enabled;
    client
        .save(&proxy)
        .map_err(failed(&format!("Failed to toggle proxy {name}")))?;
    let color = color_of(proxy.enabled);
    let mut page = Page::new(console);
    page.text("Proxy ").color(color).text(name).color(NONE);
    page.text(" is now ").color(color);
    page.text(word_for(proxy.enabled)).color(NONE).text("\n");
    Ok(page.print(console)?)
}

fn delete(given: &Given, client: &Client, console: &Console) -> Outcome {
    let name = proxy_name(given, help::DELETE)?;
    client
        .proxy(name)
        .map_err(failed(&format!("Failed to retrieve proxy {name}")))?;
    client
        .delete(name)
        .map_err(failed("Failed to delete proxy: Delete"))?;
    Ok(console.line(format_args!("Deleted proxy {name}"))?)
}

/// The proxy and the toxic that a command is about.
fn toxic_names<'g>(given: &'g Given, help: &'static str) -> Result<(&'g str, &'g str), Failure> {
    let proxy = given.rest.first().filter(|it| !it.is_empty());
    let missing = || Failure::Usage(help, "Proxy name is missing.".to_owned());
    let proxy = proxy.ok_or_else(missing)?;
    Ok((proxy, given.value("toxicName").unwrap_or_default()))
}

fn toxicity(given: &Given) -> Result<f32, Failure> {
    let Some(text) = given.value("toxicity").filter(|it| !it.is_empty()) else {
        return Ok(1.0);
    };
    let value = text.parse::<f32>().ok();
    value
        .filter(|it| (0.0..=1.0).contains(it))
        .ok_or_else(|| Failure::Told("toxicity should be a float between 0 and 1.".to_owned()))
}

/// `key=value` pairs; a whole number is sent as one however it is written, as Go writes it.
fn attributes(given: &Given) -> Map<String, Value> {
    let pairs = given.all("attribute").filter_map(|it| it.split_once('='));
    pairs
        .map(|(key, text)| (key.to_owned(), attribute(text)))
        .collect()
}

fn attribute(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    let Ok(number) = text.parse::<f64>() else {
        return text.into();
    };
    let whole = (number.fract() == 0.0).then(|| format!("{number:.0}").parse::<i64>());
    match whole {
        Some(Ok(whole)) => whole.into(),
        _ => number.into(),
    }
}

fn known(client: &Client, proxy: &str, what: &str) -> Outcome {
    let found = client.proxy(proxy).map(drop);
    found.map_err(failed(&format!(
        "{what}: failed to retrieve proxy with name `{proxy}`"
    )))
}

fn add_toxic(given: &Given, client: &Client, console: &Console) -> Outcome {
    let (proxy, name) = toxic_names(given, help::TOXIC_ADD)?;
    let type_name = required(given, "type", help::TOXIC_ADD)?;
    let upstream = given.is_set("upstream");
    if upstream && given.is_set("downstream") {
        let text = "Only one should be specified: upstream or downstream.";
        return Err(Failure::Told(text.to_owned()));
    }
    let toxic = Toxic {
        name: name.to_owned(),
        type_name: type_name.to_owned(),
        stream: if upstream { "upstream" } else { "downstream" }.to_owned(),
        toxicity: toxicity(given)?,
        attributes: attributes(given).into_iter().collect(),
    };
    known(client, proxy, "Failed to add toxic")?;
    let what = format!("Failed to add toxic: failed to add toxic to proxy {proxy}: AddToxic");
    let added = client.add_toxic(proxy, &toxic).map_err(failed(&what))?;
    Ok(console.line(format_args!(
        "Added {} {} toxic '{}' on proxy '{proxy}'",
        added.stream, added.type_name, added.name
    ))?)
}

fn update_toxic(given: &Given, client: &Client, console: &Console) -> Outcome {
    let (proxy, name) = toxic_names(given, help::TOXIC_UPDATE)?;
    let changes = json!({ "toxicity": toxicity(given)?, "attributes": attributes(given) });
    known(client, proxy, "Failed to update toxic")?;
    let what =
        format!("Failed to update toxic: failed to update toxic '{name}' of proxy '{proxy}'");
    let updated = client.update_toxic(proxy, name, changes);
    let name = updated.map_err(failed(&what))?.name;
    Ok(console.line(format_args!("Updated toxic '{name}' on proxy '{proxy}'"))?)
}

fn remove_toxic(given: &Given, client: &Client, console: &Console) -> Outcome {
    let (proxy, name) = toxic_names(given, help::TOXIC_REMOVE)?;
    known(client, proxy, "Failed to remove toxic")?;
    let what =
        format!("Failed to remove toxic: failed to remove toxic '{name}' from proxy '{proxy}'");
    client.remove_toxic(proxy, name).map_err(failed(&what))?;
    Ok(console.line(format_args!("Removed toxic '{name}' on proxy '{proxy}'"))?)
}

fn color_of(enabled: bool) -> &'static str {
    if enabled { GREEN } else { RED }
}

fn word_for(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_attributes_are_sent_as_go_marshals_them() {
        for (text, sent) in [
            ("500", "500"),
            ("500.0", "500"),
            ("1e3", "1000"),
            ("-2.0", "-2"),
            ("0.5", "0.5"),
            ("1e30", "1e+30"),
            ("fast", "\"fast\""),
        ] {
            assert_eq!(attribute(text).to_string(), sent, "{text}");
        }
    }
}
