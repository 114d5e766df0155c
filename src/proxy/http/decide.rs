//! Asking the rules: what the head tells, a look into the body where a rule wants more, and the
//! decision.

use smallvec::SmallVec;

use crate::call::{Call, Description, Field, Found};
use crate::http1::{BodyScanner, Request};
use crate::io::Buffer;
use crate::protocol::look::{Look, Progress, is_measure};
use crate::protocol::{Dialect, RequestHead};
use crate::proxy::call::{InFlight, Told};
use crate::proxy::http::to_client;
use crate::proxy::rescue::Failure;
use crate::snapshot::Observe;

/// The fields of a head as rules and protocols read them.
type Fields<'h> = SmallVec<[Field<'h>; 24]>;

/// Describes the call and asks the rules that watch its listener. Whether the client was told to
/// go on with its body (the one 100 of RFC 9110 §10.1.1).
pub(super) async fn ask_rules(
    call: &mut InFlight<'_>,
    dialect: &'static dyn Dialect,
    head: &Request,
    buffer: &mut Buffer,
    observe: Observe,
) -> Result<bool, Failure> {
    let generation = call.generation.clone();
    let rules = &generation.snapshot.rules;
    let Some(listener_rules) = rules.listener(call.listener) else {
        return Ok(false);
    };
    let mut found = Vec::new();
    let (mut description, pointers) = describe(dialect, head, buffer);
    let candidates = with_call(call, head, buffer, &description, &found, |it| {
        listener_rules.candidates(it)
    });
    let wants_description = candidates.needs_description || observe.model;
    let asked: Vec<&str> = pointers
        .iter()
        .copied()
        .filter(|_| wants_description)
        .filter(|pointer| candidates.needs_prompt_chars || !is_measure(pointer))
        .chain(candidates.pointers.iter().copied())
        .collect();
    let mut continued = false;
    if !asked.is_empty() && (!candidates.is_empty() || observe.model) {
        match look(call, head, buffer, &asked, &mut continued).await? {
            Some(values) => {
                found = values;
                // What was not looked for is not known to be absent.
                if wants_description {
                    dialect.complete(&mut description, &found);
                }
            }
            None => with_call(call, head, buffer, &description, &found, |it| {
                listener_rules.unreadable(&candidates, it);
            }),
        }
    }
    let selected = with_call(call, head, buffer, &description, &found, |it| {
        listener_rules.select(&candidates, it)
    });
    if call.decide(&selected, |call, ask| {
        with_call(call, head, buffer, &description, &found, |it| ask(it));
    }) {
        call.told = Some(told(head, buffer));
    }
    call.description = description;
    Ok(continued)
}

fn describe(
    dialect: &dyn Dialect,
    head: &Request,
    buffer: &[u8],
) -> (Description, &'static [&'static str]) {
    let fields: Fields<'_> = head.fields(buffer).collect();
    let (_, path, query) = head.parts(buffer);
    let view = RequestHead {
        method: head.method(buffer),
        path,
        query,
        fields: &fields,
    };
    let description = dialect.describe(&view);
    let pointers = dialect.pointers(&view, &description);
    (description, pointers)
}

/// Lends the call, as rules see it, for as long as its head stays where it is.
fn with_call<R>(
    call: &InFlight<'_>,
    head: &Request,
    buffer: &[u8],
    description: &Description,
    found: &[Found],
    ask: impl FnOnce(&Call<'_>) -> R,
) -> R {
    let fields: Fields<'_> = head.fields(buffer).collect();
    let (host, path, query) = head.parts(buffer);
    ask(&Call {
        listener: &call.generation.snapshot.listeners[call.listener].name,
        protocol: call.target.protocol.name(),
        peer: call.session.peer,
        sni: call.session.sni.as_deref(),
        method: head.method(buffer),
        path,
        query,
        host,
        fields: &fields,
        description: description.clone(),
        found,
    })
}

/// What a record tells of a request.
pub(super) fn told(head: &Request, buffer: &[u8]) -> Told {
    let (_, path, _) = head.parts(buffer);
    Told {
        method: head.method(buffer).to_owned(),
        path: path.to_owned(),
        attempt: attempt(head, buffer),
    }
}

/// Which attempt a request says that it is, from 1: `OpenAI`'s clients count retries, Envoy attempts.
fn attempt(head: &Request, buffer: &[u8]) -> Option<u32> {
    head.fields(buffer).find_map(|field| {
        let number = || std::str::from_utf8(field.value).ok()?.parse::<u32>().ok();
        if field.name.eq_ignore_ascii_case("x-stainless-retry-count") {
            number().map(|retries| retries.saturating_add(1))
        } else if field.name.eq_ignore_ascii_case("x-envoy-attempt-count") {
            number()
        } else {
            None
        }
    })
}

/// Reads as much of the body as the pointers need, and keeps it. `None`: it cannot be read so
/// (encoded, too long, too slow, no JSON).
async fn look(
    call: &InFlight<'_>,
    head: &Request,
    buffer: &mut Buffer,
    pointers: &[&str],
    continued: &mut bool,
) -> Result<Option<Vec<Found>>, Failure> {
    let limits = call.generation.snapshot.limits.clone();
    let encoded = head.fields(buffer).any(|field| {
        field.name.eq_ignore_ascii_case("content-encoding")
            && !field.value.eq_ignore_ascii_case(b"identity")
    });
    let mut scanner = BodyScanner::new(head.framing);
    if scanner.is_done() {
        return Ok(Some(Vec::new()));
    }
    if encoded {
        return Ok(None);
    }
    let mut look = Look::new(pointers);
    let cap = head.len + limits.look_bytes;
    let read = async {
        let mut scanned_to = head.len;
        loop {
            let mut progress = Progress::More;
            let scanned = scanner
                .scan(&buffer[scanned_to..], |payload| {
                    if progress == Progress::More {
                        progress = look.push(payload);
                    }
                })
                .map_err(Failure::ClientBody)?;
            scanned_to += scanned.wire;
            match progress {
                Progress::Done => return Ok(true),
                Progress::More if !scanned.done => {}
                // The body ends where its document does not.
                Progress::Invalid | Progress::More => return Ok(false),
            }
            if head.expects_continue && !std::mem::replace(continued, true) {
                to_client(
                    call.session
                        .client
                        .write_all(b"HTTP/1.1 100 Continue\r\n\r\n"),
                )
                .await?;
            }
            if !buffer.make_room(cap) {
                return Ok(false);
            }
            match call.session.client.read(buffer).await {
                Ok(0) => return Err(Failure::ClientShort),
                Ok(_) => {}
                Err(error) => return Err(Failure::ClientGone(error)),
            }
        }
    };
    match tokio::time::timeout(limits.look_time, read).await {
        Ok(Ok(true)) => Ok(Some(look.finish())),
        Ok(Ok(false)) | Err(_) => Ok(None),
        Ok(Err(failure)) => Err(failure),
    }
}
