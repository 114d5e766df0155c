//! Asking the rules: what the head tells, a look into the body where a rule wants more, and the
//! decision.

use smallvec::SmallVec;

use crate::call::{Call, Description, Field, Found};
use crate::http1::{BodyScanner, Request};
use crate::io::Buffer;
use crate::protocol::look::{Look, Progress, is_measure};
use crate::protocol::{Dialect, RequestHead};
use crate::proxy::call::{InFlight, Session, Told};
use crate::proxy::http::to_client;
use crate::proxy::rescue::Failure;
use crate::proxy::worker::Generation;
use crate::rule::{Candidates, ListenerRules};
use crate::snapshot::Observe;

/// The fields of a head as rules and protocols read them.
type Fields<'h> = SmallVec<[Field<'h>; 24]>;

/// What the head alone tells of the rules.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for one match; a box would cost each call that looks an allocation"
)]
enum Asked<'r> {
    /// They have decided.
    Decided,
    /// The body must be looked into first: for these pointers.
    Look {
        description: Description,
        wants_description: bool,
        candidates: Candidates<'r>,
        pointers: SmallVec<[&'r str; 8]>,
    },
}

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
    let Some(rules) = generation.snapshot.rules.listener(call.listener) else {
        return Ok(false);
    };
    match ask_head(call, dialect, rules, head, buffer, observe) {
        Asked::Decided => Ok(false),
        // Boxed, as few calls need it.
        look @ Asked::Look { .. } => {
            Box::pin(ask_body(call, dialect, rules, head, buffer, look)).await
        }
    }
}

/// Decides where the head tells enough.
fn ask_head<'r>(
    call: &mut InFlight<'_>,
    dialect: &'static dyn Dialect,
    rules: &'r ListenerRules,
    head: &Request,
    buffer: &[u8],
    observe: Observe,
) -> Asked<'r> {
    let generation = call.generation.clone();
    let view = View::new(call, &generation);
    // Made once for all who ask: a head has some twenty fields.
    let fields: Fields<'_> = head.fields(buffer).collect();
    let (host, request) = request_of(head, buffer, &fields);
    let description = dialect.describe(&request);
    let pointers = dialect.pointers(&request, &description);
    let seen = view.of(host, &request, description, &[]);
    let candidates = rules.candidates(&seen);
    let wants_description = candidates.needs_description || observe.model;
    let pointers: SmallVec<[&str; 8]> = pointers
        .iter()
        .copied()
        .filter(|_| wants_description)
        .filter(|pointer| candidates.needs_prompt_chars || !is_measure(pointer))
        .chain(candidates.pointers.iter().copied())
        .collect();
    if pointers.is_empty() || (candidates.is_empty() && !observe.model) {
        conclude(call, rules, &candidates, &seen);
        call.description = seen.description;
        return Asked::Decided;
    }
    Asked::Look {
        description: seen.description,
        wants_description,
        candidates,
        pointers,
    }
}

/// Looks into the body, and decides.
async fn ask_body(
    call: &mut InFlight<'_>,
    dialect: &'static dyn Dialect,
    rules: &ListenerRules,
    head: &Request,
    buffer: &mut Buffer,
    asked: Asked<'_>,
) -> Result<bool, Failure> {
    let mut continued = false;
    let Asked::Look {
        mut description,
        wants_description,
        candidates,
        pointers,
    } = asked
    else {
        return Ok(continued);
    };
    let looked = look(call, head, buffer, &pointers, &mut continued).await?;
    let read = looked.is_some();
    let found = looked.unwrap_or_default();
    // What was not looked for is not known to be absent.
    if read && wants_description {
        dialect.complete(&mut description, &found);
    }
    let generation = call.generation.clone();
    let view = View::new(call, &generation);
    let fields: Fields<'_> = head.fields(buffer).collect();
    let (host, request) = request_of(head, buffer, &fields);
    let seen = view.of(host, &request, description, &found);
    if !read {
        rules.unreadable(&candidates, &seen);
    }
    conclude(call, rules, &candidates, &seen);
    call.description = seen.description;
    Ok(continued)
}

/// Decides, now that all is known that can be.
fn conclude(
    call: &mut InFlight<'_>,
    rules: &ListenerRules,
    candidates: &Candidates<'_>,
    seen: &Call<'_>,
) {
    let selected = rules.select(candidates, seen);
    if call.decide(&selected, seen) && call.session.worker.records.is_on() {
        let fields = seen.fields.iter().copied();
        call.told = Some(told(seen.method, seen.path, fields));
    }
}

/// The host that a request is for, and its head, for all who look into it.
fn request_of<'c>(
    head: &Request,
    buffer: &'c [u8],
    fields: &'c [Field<'c>],
) -> (Option<&'c str>, RequestHead<'c>) {
    let (host, path, query) = head.parts(buffer);
    let request = RequestHead {
        method: head.method(buffer),
        path,
        query,
        fields,
    };
    (host, request)
}

/// What a call is to rules beside its message.
#[derive(Clone, Copy)]
struct View<'v> {
    listener: &'v str,
    protocol: &'static str,
    session: &'v Session,
}

impl<'v> View<'v> {
    fn new(call: &InFlight<'v>, generation: &'v Generation) -> Self {
        Self {
            listener: &generation.snapshot.listeners[call.listener].name,
            protocol: call.target.protocol.name(),
            session: call.session,
        }
    }

    /// The call as rules see it, for as long as its head stays where it is.
    fn of<'c>(
        self,
        host: Option<&'c str>,
        request: &RequestHead<'c>,
        description: Description,
        found: &'c [Found<'c>],
    ) -> Call<'c>
    where
        'v: 'c,
    {
        Call {
            listener: self.listener,
            protocol: self.protocol,
            peer: self.session.peer,
            sni: self.session.sni.as_deref(),
            method: request.method,
            path: request.path,
            query: request.query,
            host,
            fields: request.fields,
            description,
            found,
        }
    }
}

/// What a record tells of a request.
pub(super) fn told<'f>(method: &str, path: &str, fields: impl Iterator<Item = Field<'f>>) -> Told {
    Told {
        method: method.to_owned(),
        path: path.to_owned(),
        attempt: attempt(fields),
    }
}

/// Which attempt a request says that it is, from 1: `OpenAI`'s clients count retries, Envoy attempts.
fn attempt<'f>(mut fields: impl Iterator<Item = Field<'f>>) -> Option<u32> {
    fields.find_map(|field| {
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
async fn look<'p>(
    call: &InFlight<'_>,
    head: &Request,
    buffer: &mut Buffer,
    pointers: &[&'p str],
    continued: &mut bool,
) -> Result<Option<Vec<Found<'p>>>, Failure> {
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
    let mut look = Look::new(pointers.iter().copied());
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
