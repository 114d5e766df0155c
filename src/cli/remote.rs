//! What the commands against a running sidecar share: where it is, who asks, and how its answers
//! and refusals are told.

use std::borrow::Cow;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use http::StatusCode;
use serde_json::Value;

use super::console::Console;
use super::{Exit, UsageError, environment};
use crate::admin::client::told::{Rule, Rules};
use crate::admin::client::{Address, Client, ClientError, Refused, RefusedProblem, escaped};
use crate::admin::{AdminAddress, check_runtime_folder, runtime_folder, token_entry};
use crate::config::parse_tokens;
use crate::error::nearest;
use crate::tls::{ALPN_HTTP_1, Authorities, ClientTls, Identity, Trust};
use crate::units::Span;

pub(super) const DEFAULT_ADMIN: &str = "127.0.0.1:9901";

/// Which sidecar is asked, and how.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which sidecar")]
pub(super) struct AdminArguments {
    /// Its admin listener: `HOST:PORT`, `https://HOST:PORT` or `unix:/path/to.sock`.
    #[arg(long, value_name = "ADDR", default_value = DEFAULT_ADMIN, env = "HORMESIS_ADMIN", hide_env_values = true)]
    admin: Address,

    /// The file with the token to show; absent: the one that the sidecar wrote at its start.
    #[arg(
        long,
        value_name = "FILE",
        env = "HORMESIS_TOKEN_FILE",
        hide_env_values = true
    )]
    token_file: Option<PathBuf>,

    /// Certificates to believe on `https://`; absent: the system's.
    #[arg(
        long,
        value_name = "FILE",
        env = "HORMESIS_ADMIN_CA",
        hide_env_values = true
    )]
    ca: Option<PathBuf>,

    /// The certificate to show on `https://`, with its chain.
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        env = "HORMESIS_ADMIN_CERT",
        hide_env_values = true
    )]
    cert: Option<PathBuf>,

    /// Its private key.
    #[arg(
        long,
        value_name = "FILE",
        requires = "cert",
        env = "HORMESIS_ADMIN_KEY",
        hide_env_values = true
    )]
    key: Option<PathBuf>,

    /// How long an answer may take.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Span,

    /// JSON on standard output.
    #[arg(long, help_heading = "Options")]
    pub(super) json: bool,
}

impl AdminArguments {
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        let mut client = Client::new(self.admin.clone(), self.timeout.get());
        if self.admin.is_tls() {
            client = client.with_tls(self.tls()?);
        } else if self.ca.is_some() || self.cert.is_some() {
            let told = format!(
                "--ca and --cert are for TLS: write --admin https://{}",
                self.admin
            );
            return Err(UsageError(told).into());
        }
        let Some(path) = &self.token_file else {
            let asked = self.clone();
            // One that cannot be read is another user's: what is open to all is asked without.
            let find = move || first(fs::read_to_string(asked.left_behind()?).ok()?);
            return Ok(client.with_found_token(Arc::new(find)));
        };
        let shown = path.display();
        let text = fs::read_to_string(path)
            .map_err(|error| UsageError(format!("cannot read the token in {shown}: {error}")))?;
        let Some(token) = first(text) else {
            return Ok(client);
        };
        client.with_token(&token, shown.to_string()).map_err(|_| {
            UsageError(format!(
                "{shown} holds no token: it has characters that none has"
            ))
            .into()
        })
    }

    /// What a sidecar of this user's has left at its start, by the address that it answers at.
    fn left_behind(&self) -> Option<PathBuf> {
        let Address::Tcp { authority, .. } = &self.admin else {
            return None;
        };
        let (host, port) = authority.rsplit_once(':')?;
        let addresses = match host {
            "localhost" => vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")],
            _ => vec![authority.clone()],
        };
        let folder = runtime_folder(&environment);
        check_runtime_folder(&folder).ok()?;
        let mut entries = addresses.iter().filter_map(|it| {
            let address = AdminAddress::Tcp(it.parse().ok()?);
            Some(token_entry(&folder, &address))
        });
        entries.find(|it| it.exists())
    }

    fn tls(&self) -> anyhow::Result<ClientTls> {
        let read = |path: &PathBuf| {
            fs::read(path)
                .map_err(|error| UsageError(format!("cannot read {}: {error}", path.display())))
        };
        let authorities = match &self.ca {
            Some(path) => Authorities::from_pem(&read(path)?)
                .map_err(|error| UsageError(format!("{} {error}", path.display())))?,
            None => Authorities::system()?,
        };
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let (sound, identity) = Identity::from_pem(&read(cert)?, &read(key)?);
                sound.map_err(|error| UsageError(format!("{} {error}", cert.display())))?;
                identity.map_err(|error| UsageError(format!("{} {error}", key.display())))?
            }
            _ => None,
        };
        let trust = Trust::Authorities(authorities);
        Ok(ClientTls::new(
            &trust,
            identity.as_ref(),
            None,
            &[ALPN_HTTP_1],
        )?)
    }

    /// `hormesis COMMAND`, as it is typed to reach the same sidecar, as the same.
    pub(super) fn typed(&self, command: &str) -> String {
        let mut line = format!("hormesis {command}");
        let admin = self.admin.to_string();
        if admin != DEFAULT_ADMIN {
            line = format!("{line} --admin {}", quoted(&admin));
        }
        for (flag, variable, given) in [
            ("--token-file", "HORMESIS_TOKEN_FILE", &self.token_file),
            ("--ca", "HORMESIS_ADMIN_CA", &self.ca),
            ("--cert", "HORMESIS_ADMIN_CERT", &self.cert),
            ("--key", "HORMESIS_ADMIN_KEY", &self.key),
        ] {
            let Some(path) = given.as_ref().map(|it| it.to_string_lossy()) else {
                continue;
            };
            // The environment says so the next time, too.
            if environment(variable).as_deref() != Some(&*path) {
                line = format!("{line} {flag} {}", quoted(&path));
            }
        }
        line
    }
}

/// The first token of a file that holds two; what is no token at all is told by who is asked.
fn first(text: String) -> Option<String> {
    match parse_tokens(&text) {
        Ok(tokens) => tokens.first().map(|it| (*it).to_owned()),
        Err(_) => Some(text),
    }
}

/// As a word of a shell.
fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,[]".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

/// Runs what waits for answers, on this thread.
pub(super) fn wait<T>(asked: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answered = runtime.block_on(asked);
    // A name that is still looked up must not hold the end back.
    runtime.shutdown_background();
    answered
}

/// The path of a rule, or of what is below it.
pub(super) fn rule_path(name: &str, below: &str) -> String {
    format!("/rules/{}{below}", escaped(name))
}

/// A refusal that names no rule there is, told with the name that was meant.
pub(super) async fn with_suggestion(
    client: &Client,
    name: &str,
    error: ClientError,
) -> ClientError {
    let ClientError::Refused(refused) = error else {
        return error;
    };
    if refused.status != StatusCode::NOT_FOUND {
        return ClientError::Refused(refused);
    }
    let help = match client.get::<Rules>("/rules").await {
        Ok(Rules { rules }) if rules.is_empty() => "there is no rule at all".to_owned(),
        Ok(Rules { rules }) => {
            let names: Vec<&str> = rules.iter().map(|it| it.name.as_str()).collect();
            match nearest(name, &names) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are {}", names.join(", ")),
            }
        }
        Err(_) => return ClientError::Refused(refused),
    };
    ClientError::Refused(Refused {
        error: format!("there is no rule {name:?}"),
        help: Some(help),
        ..refused
    })
}

/// Tells why a sidecar did not do as it was asked.
pub(super) fn explain(error: &ClientError, console: &Console) -> Exit {
    console.complain(format_args!("error: {error}"));
    let help = |text: &str| console.complain(format_args!("  help: {text}"));
    match error {
        ClientError::Unreachable { .. } => {
            help(
                "is it running? `hormesis run` starts one; --admin ADDR or HORMESIS_ADMIN names another address",
            );
            Exit::CannotRun
        }
        ClientError::Refused(refused) => {
            // One mistake alone is told by the error itself.
            let one = refused.problems.len() == 1;
            let told = |it: &&RefusedProblem| !(one && refused.error.contains(&it.message));
            for problem in refused.problems.iter().filter(told) {
                let at = problem
                    .at
                    .as_ref()
                    .map_or(String::new(), |it| format!("{it}: "));
                console.complain(format_args!("  × {at}{}", problem.message));
                if let Some(text) = &problem.help {
                    console.complain(format_args!("    help: {text}"));
                }
            }
            if let Some(text) = refused.help.as_deref().filter(|it| !it.is_empty()) {
                help(text);
            }
            match refused.status {
                StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::TOO_MANY_REQUESTS => Exit::CannotRun,
                status if status.is_client_error() => Exit::Usage,
                _ => Exit::CannotRun,
            }
        }
        ClientError::Unwritable(_) => Exit::Usage,
        ClientError::Silent { .. } | ClientError::Foreign { .. } => Exit::CannotRun,
    }
}

/// What is read of an answer that is kept whole for `--json`.
pub(super) fn read<T: serde::de::DeserializeOwned>(answer: &Value) -> anyhow::Result<T> {
    T::deserialize(answer).map_err(|error| {
        anyhow::anyhow!(
            "the sidecar's answer is not understood ({error}): is it of another version?"
        )
    })
}

/// On which listeners a rule is, in words.
pub(super) fn listeners(rule: &Rule) -> String {
    match &rule.listener {
        Some(names) => names.join(", "),
        None => "all listeners".to_owned(),
    }
}
