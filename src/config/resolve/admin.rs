//! `[admin]`: where it is bound, and who may do what there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::uri::Authority;

use super::binds::Binds;
use super::settings::log_folder;
use super::tls::{Files, Told};
use crate::config::admin::{parse_tokens, scopes};
use crate::config::document::Document;
use crate::config::tree::Located;
use crate::config::{
    AdminConfig, ListenerTlsConfig, Problems, ScopeConfig, TokenConfig, parse_admin,
};
use crate::snapshot::{AdminAccess, AdminBind, AdminSettings, Bind, ClientName, Token};
use crate::tls::ALPN_HTTP_1;

pub(super) fn resolve(
    document: &Document<'_>,
    binds: &mut Binds,
    files: &mut Files,
    problems: &mut Problems,
) -> Option<AdminSettings> {
    let Some(located) = &document.admin else {
        return by_default(binds, problems);
    };
    let bind = bind(located, binds, problems);
    let tls = tls(located, bind.as_ref(), files, problems);
    let tokens = tokens(located, files, problems);
    let clients = clients(located, problems);
    let hosts = hosts(located, problems);
    if let Some(file) = &located.value.audit {
        log_folder(located, "audit", file, problems);
    }
    let settings = AdminSettings {
        bind: bind?,
        audit: located.value.audit.clone(),
        token_file: most(&located.value.tokens),
        access: Arc::new(AdminAccess {
            tokens: tokens.ok()?,
            clients: clients.ok()?,
            hosts: hosts.ok()?,
            tls: tls.ok()?,
            asks_certificates: client_ca(located.value.tls.as_ref()).is_some(),
        }),
    };
    if let Err(exposed) = settings.check_exposure() {
        located.error(problems, "bind", exposed.to_string(), exposed.help());
        return None;
    }
    Some(settings)
}

fn by_default(binds: &mut Binds, problems: &mut Problems) -> Option<AdminSettings> {
    let bind = parse_admin(&AdminConfig::default().bind).ok()?;
    if let AdminBind::Tcp(address) = bind {
        let help = "give the admin listener another: `[admin] bind = …`, or `off`";
        binds.add_default(&Bind::Tcp(address), "the admin listener", help, problems);
    }
    Some(AdminSettings {
        bind,
        audit: None,
        token_file: None,
        access: Arc::default(),
    })
}

fn most(tokens: &[TokenConfig]) -> Option<PathBuf> {
    let most = tokens
        .iter()
        .rev()
        .max_by_key(|it| scopes(&it.scopes).count());
    most.map(|it| it.file.clone())
}

fn bind(
    located: &Located<'_, AdminConfig>,
    binds: &mut Binds,
    problems: &mut Problems,
) -> Option<AdminBind> {
    let bind = match parse_admin(&located.value.bind) {
        Ok(bind) => bind,
        Err(error) => {
            located.error(problems, "bind", error.message, error.help);
            return None;
        }
    };
    let taken = match &bind {
        AdminBind::Off => None,
        AdminBind::Tcp(address) => Some(Bind::Tcp(*address)),
        AdminBind::Unix(path) => Some(Bind::Unix(path.clone())),
    };
    if let Some(taken) = taken {
        let place = located.node.place("bind");
        binds.add(taken, "the admin listener".into(), place, problems);
    }
    Some(bind)
}

fn client_ca(tls: Option<&ListenerTlsConfig>) -> Option<&Path> {
    tls?.client_ca.as_deref()
}

fn tls(
    located: &Located<'_, AdminConfig>,
    bind: Option<&AdminBind>,
    files: &mut Files,
    problems: &mut Problems,
) -> Result<Option<crate::tls::ServerTls>, Told> {
    let tls = located.value.tls.as_ref();
    if tls.is_some() && matches!(bind, Some(AdminBind::Unix(_))) {
        let message =
            "a unix socket is its owner's alone: nobody listens in, so that it has no TLS";
        let help = "leave `tls` out, or bind an address".to_owned();
        located.error(problems, "tls", message, help);
        return Err(Told);
    }
    files.server(located, tls, &[ALPN_HTTP_1], problems)
}

fn tokens(
    located: &Located<'_, AdminConfig>,
    files: &mut Files,
    problems: &mut Problems,
) -> Result<Vec<Token>, Told> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut wrong = false;
    for (index, config) in located.value.tokens.iter().enumerate() {
        let at = format!("tokens[{index}]");
        wrong |= some_scope(located, &at, &config.scopes, problems).is_err();
        let Ok(secrets) = secrets(located, &at, &config.file, files, problems) else {
            wrong = true;
            continue;
        };
        let stem = config.file.file_stem().map(|it| it.to_string_lossy());
        let name = config.name.as_deref().or(stem.as_deref());
        for secret in secrets {
            let name = name.unwrap_or("token");
            let token = Token::new(name, secret.as_bytes(), scopes(&config.scopes));
            if let Some(first) = tokens.iter().find(|it| it.is_same_secret(&token)) {
                let message = format!("the token of `{name}` is the one of `{}`", first.name);
                let help = "make one for each: who asks is told apart by it".to_owned();
                located.error(problems, &format!("{at}.file"), message, help);
                wrong = true;
            } else {
                tokens.push(token);
            }
        }
    }
    if wrong { Err(Told) } else { Ok(tokens) }
}

fn secrets(
    located: &Located<'_, AdminConfig>,
    at: &str,
    path: &Path,
    files: &mut Files,
    problems: &mut Problems,
) -> Result<Vec<String>, Told> {
    let at = format!("{at}.file");
    let bytes = files.read(located, &at, path, problems)?;
    let text = String::from_utf8_lossy(&bytes);
    let secrets = parse_tokens(&text).map_err(|error| {
        let help = format!(
            "make one: openssl rand -hex 32 > {0}; chmod 600 {0}",
            path.display()
        );
        located.error(problems, &at, format!("{} {error}", path.display()), help);
        Told
    })?;
    let mode = std::fs::metadata(path).map_or(0, |it| it.permissions().mode());
    if mode & 0o007 != 0 {
        let message = format!(
            "{} can be read or written by every user here",
            path.display()
        );
        let place = Some(located.node.place(&at));
        problems.warning(place, message, format!("chmod o-rwx {}", path.display()));
    }
    Ok(secrets.into_iter().map(str::to_owned).collect())
}

fn some_scope(
    located: &Located<'_, AdminConfig>,
    at: &str,
    scopes: &[ScopeConfig],
    problems: &mut Problems,
) -> Result<(), Told> {
    if scopes.is_empty() {
        let help = "of \"read\", \"halt\", \"write\" and \"config\"".to_owned();
        let message = "whoever has it could do nothing: there is no scope";
        located.error(problems, &format!("{at}.scopes"), message, help);
        return Err(Told);
    }
    Ok(())
}

fn clients(
    located: &Located<'_, AdminConfig>,
    problems: &mut Problems,
) -> Result<Vec<ClientName>, Told> {
    let config = &located.value;
    if !config.clients.is_empty() && client_ca(config.tls.as_ref()).is_none() {
        let message = "no client is asked for a certificate";
        let help = "name who has signed theirs: `tls = { …, client_ca = \"ca.pem\" }`".to_owned();
        located.error(problems, "clients", message, help);
        return Err(Told);
    }
    let mut clients = Vec::with_capacity(config.clients.len());
    for (index, client) in config.clients.iter().enumerate() {
        let at = format!("clients[{index}]");
        some_scope(located, &at, &client.scopes, problems)?;
        if client.name.is_empty() {
            let message = "a certificate without a name is nobody's";
            located.error(problems, &format!("{at}.name"), message, None);
            return Err(Told);
        }
        clients.push(ClientName {
            name: client.name.as_str().into(),
            scopes: scopes(&client.scopes),
        });
    }
    Ok(clients)
}

fn hosts(located: &Located<'_, AdminConfig>, problems: &mut Problems) -> Result<Vec<String>, Told> {
    let mut hosts = Vec::with_capacity(located.value.hosts.len());
    for (index, host) in located.value.hosts.iter().enumerate() {
        let plain = |it: &Authority| !it.host().contains('*') && !it.as_str().contains('@');
        if !host.parse::<Authority>().is_ok_and(|it| plain(&it)) {
            let message = format!("{host:?} is no name of a host");
            let help = "as clients write it: `hormesis.example`, or with its port".to_owned();
            located.error(problems, &format!("hosts[{index}]"), message, help);
            return Err(Told);
        }
        hosts.push(host.to_ascii_lowercase());
    }
    Ok(hosts)
}
