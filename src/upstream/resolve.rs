//! The addresses behind names: looked up off the workers, kept, and looked up again while they are
//! used, so that a server that comes back elsewhere is found without a restart of ours.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

/// How old the addresses of a name may be while they are used.
const FRESH: Duration = Duration::from_secs(5);
/// How old they must be to be asked for again because no connection could be made; and for so long a
/// name that could not be resolved is not asked for again.
const AGAIN: Duration = Duration::from_millis(500);

type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>;
type Lookup = Rc<dyn Fn(String, u16) -> Answer>;

/// A name and the port behind it.
type Name = (String, u16);

/// What one worker knows of the names of one upstream.
#[derive(Clone)]
pub struct Resolver {
    lookup: Lookup,
    known: Rc<RefCell<BTreeMap<Name, Known>>>,
    failed: Rc<RefCell<BTreeMap<Name, Failed>>>,
    /// Lookups under way. The first who waits for one drives it for all of them, and where he leaves
    /// the next one does: a slow resolver is asked once, however many calls give up on it.
    under_way: Rc<RefCell<BTreeMap<Name, UnderWay>>>,
    /// Since the last look: what nobody uses is not looked up again.
    used: Rc<Cell<bool>>,
}

struct Known {
    addresses: Rc<[SocketAddr]>,
    since: Instant,
}

/// How the last lookup of a name failed.
struct Failed {
    kind: io::ErrorKind,
    why: String,
    since: Instant,
}

impl Failed {
    fn repeat(&self) -> io::Error {
        io::Error::new(self.kind, self.why.clone())
    }
}

/// `None` once it has ended: what came of it is known then.
type UnderWay = Rc<tokio::sync::Mutex<Option<Answer>>>;

impl Default for Resolver {
    /// The system's resolver, on tokio's blocking threads.
    fn default() -> Self {
        Self::new(Rc::new(|host, port| {
            Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
        }))
    }
}

impl Resolver {
    fn new(lookup: Lookup) -> Self {
        Self {
            lookup,
            known: Rc::default(),
            failed: Rc::default(),
            under_way: Rc::default(),
            used: Rc::default(),
        }
    }

    /// A call uses the upstream, by a kept connection or a new one.
    pub fn touch(&self) {
        self.used.set(true);
    }

    /// The addresses of a host; those known are taken, however old: [`Self::refresh`] sees to that.
    ///
    /// # Errors
    /// Where the name was never resolved and cannot be now.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Rc<[SocketAddr]>> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Rc::new([SocketAddr::new(ip, port)]));
        }
        let name = (host.to_owned(), port);
        if let Some(known) = self.known.borrow().get(&name) {
            return Ok(Rc::clone(&known.addresses));
        }
        if let Some(failed) = self.failed.borrow().get(&name)
            && failed.since.elapsed() < AGAIN
        {
            return Err(failed.repeat());
        }
        self.look_up(name).await
    }

    /// The addresses now, where they are others than those that were just tried.
    pub async fn others(
        &self,
        host: &str,
        port: u16,
        tried: &[SocketAddr],
    ) -> Option<Rc<[SocketAddr]>> {
        if host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let name = (host.to_owned(), port);
        let just_now = |it: &Known| it.since.elapsed() < AGAIN;
        if self.known.borrow().get(&name).is_some_and(just_now) {
            return None;
        }
        let now = self.look_up(name).await.ok()?;
        (!same(&now, tried)).then_some(now)
    }

    /// Whether a connection to this address still goes where its name leads.
    pub fn leads_to(&self, host: &str, port: u16, address: SocketAddr) -> bool {
        let known = self.known.borrow();
        known
            .get(&(host.to_owned(), port))
            .is_none_or(|it| it.addresses.contains(&address))
    }

    /// Looks the names up again that are no longer fresh, where the upstream is used; `None` where
    /// there is nothing to do.
    /// A name that cannot be resolved now keeps its addresses.
    pub fn refresh(&self, now: Instant) -> Option<impl Future<Output = ()> + use<>> {
        if !self.used.get() {
            return None;
        }
        let known = self.known.borrow();
        let due: Vec<Name> = known
            .iter()
            .filter(|(_, it)| now.duration_since(it.since) >= FRESH)
            .map(|(name, _)| name.clone())
            .collect();
        drop(known);
        if due.is_empty() {
            return None;
        }
        self.used.set(false);
        let resolver = self.clone();
        Some(async move {
            for name in due {
                if let Err(error) = resolver.look_up(name.clone()).await {
                    tracing::debug!(host = name.0, %error, "the name could not be resolved again: its addresses are kept");
                }
            }
        })
    }

    async fn look_up(&self, name: Name) -> io::Result<Rc<[SocketAddr]>> {
        let under_way = {
            let mut all = self.under_way.borrow_mut();
            let new = || {
                Rc::new(tokio::sync::Mutex::new(Some((self.lookup)(
                    name.0.clone(),
                    name.1,
                ))))
            };
            Rc::clone(all.entry(name.clone()).or_insert_with(new))
        };
        let mut answer = under_way.lock().await;
        let Some(lookup) = answer.as_mut() else {
            return self.came_of(&name);
        };
        let looked_up = lookup.await;
        *answer = None;
        self.under_way.borrow_mut().remove(&name);
        self.keep(name, looked_up)
    }

    /// What came of a lookup that has ended while somebody else drove it.
    fn came_of(&self, name: &Name) -> io::Result<Rc<[SocketAddr]>> {
        if let Some(failed) = self.failed.borrow().get(name) {
            return Err(failed.repeat());
        }
        match self.known.borrow().get(name) {
            Some(known) => Ok(Rc::clone(&known.addresses)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Remembers what came of a lookup.
    fn keep(
        &self,
        name: Name,
        looked_up: io::Result<Vec<SocketAddr>>,
    ) -> io::Result<Rc<[SocketAddr]>> {
        let looked_up = looked_up.and_then(|addresses| {
            if addresses.is_empty() {
                let why = "the name has no address";
                return Err(io::Error::new(io::ErrorKind::NotFound, why));
            }
            Ok(addresses)
        });
        let addresses = match looked_up {
            Ok(addresses) => addresses,
            Err(error) => {
                if let Some(known) = self.known.borrow_mut().get_mut(&name) {
                    // Not asked again at once: the next one comes when these are old again.
                    known.since = Instant::now();
                }
                let failed = Failed {
                    kind: error.kind(),
                    why: error.to_string(),
                    since: Instant::now(),
                };
                self.failed.borrow_mut().insert(name, failed);
                return Err(error);
            }
        };
        self.failed.borrow_mut().remove(&name);
        let addresses: Rc<[SocketAddr]> = addresses.into();
        let fresh = Known {
            addresses: Rc::clone(&addresses),
            since: Instant::now(),
        };
        let before = self.known.borrow_mut().insert(name.clone(), fresh);
        if let Some(before) = before
            && !same(&before.addresses, &addresses)
        {
            tracing::info!(host = name.0, before = ?before.addresses, now = ?addresses, "the name leads elsewhere");
        }
        Ok(addresses)
    }
}

/// Whether two answers name the same addresses; resolvers turn their order around.
fn same(one: &[SocketAddr], other: &[SocketAddr]) -> bool {
    one.len() == other.len() && one.iter().all(|it| other.contains(it))
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.borrow();
        f.debug_list().entries(known.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A resolver whose answers the test sets.
    fn scripted() -> (Resolver, Rc<RefCell<Vec<io::Result<&'static str>>>>) {
        let answers: Rc<RefCell<Vec<io::Result<&'static str>>>> = Rc::default();
        let script = Rc::clone(&answers);
        let lookup = move |_: String, port: u16| -> Answer {
            let next = script.borrow_mut().pop().expect("nobody should have asked");
            let answer = next.map(|text| {
                let ips = text.split_whitespace().map(|it| it.parse().unwrap());
                ips.map(|ip| SocketAddr::new(ip, port)).collect()
            });
            Box::pin(std::future::ready(answer))
        };
        (Resolver::new(Rc::new(lookup)), answers)
    }

    fn shown(addresses: &[SocketAddr]) -> String {
        let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        texts.join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_once_and_again_when_it_is_old_and_used() {
        let (resolver, answers) = scripted();
        answers.borrow_mut().push(Ok("10.0.0.1"));
        for _ in 0..3 {
            let addresses = resolver.addresses("model", 80).await.unwrap();
            assert_eq!(shown(&addresses), "10.0.0.1:80");
        }
        resolver.touch();
        assert!(resolver.refresh(Instant::now()).is_none(), "still fresh");
        tokio::time::advance(FRESH).await;
        answers.borrow_mut().push(Ok("10.0.0.2 10.0.0.3"));
        resolver.refresh(Instant::now()).expect("due").await;
        let addresses = resolver.addresses("model", 80).await.unwrap();
        assert_eq!(shown(&addresses), "10.0.0.2:80 10.0.0.3:80");
        let old: SocketAddr = "10.0.0.1:80".parse().unwrap();
        assert!(!resolver.leads_to("model", 80, old));
        assert!(resolver.leads_to("model", 80, addresses[1]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_uses_is_not_looked_up_again() {
        let (resolver, answers) = scripted();
        answers.borrow_mut().push(Ok("10.0.0.1"));
        resolver.addresses("model", 80).await.unwrap();
        tokio::time::advance(FRESH * 2).await;
        assert!(resolver.refresh(Instant::now()).is_none());
        resolver.touch();
        assert!(resolver.refresh(Instant::now()).is_some());
        assert!(
            resolver.refresh(Instant::now()).is_none(),
            "once for one use"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_look_up_keeps_what_is_known_and_a_first_one_is_told() {
        let (resolver, answers) = scripted();
        let failed = || Err(io::ErrorKind::TimedOut.into());
        answers.borrow_mut().push(failed());
        for _ in 0..3 {
            let error = resolver.addresses("model", 80).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "asked once for all");
        }
        tokio::time::advance(AGAIN).await;
        answers.borrow_mut().push(Ok("10.0.0.1"));
        resolver.addresses("model", 80).await.unwrap();
        tokio::time::advance(FRESH).await;
        resolver.touch();
        answers.borrow_mut().push(failed());
        resolver.refresh(Instant::now()).expect("due").await;
        let addresses = resolver.addresses("model", 80).await.unwrap();
        assert_eq!(shown(&addresses), "10.0.0.1:80");
        resolver.touch();
        let again = resolver.refresh(Instant::now());
        assert!(again.is_none(), "not asked again at once");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failed_connection_only_other_addresses_are_worth_a_try() {
        let (resolver, answers) = scripted();
        answers.borrow_mut().push(Ok("10.0.0.1 10.0.0.2"));
        let tried = resolver.addresses("model", 80).await.unwrap();
        assert!(
            resolver.others("model", 80, &tried).await.is_none(),
            "just asked"
        );
        tokio::time::advance(AGAIN).await;
        answers.borrow_mut().push(Ok("10.0.0.2 10.0.0.1"));
        assert!(resolver.others("model", 80, &tried).await.is_none());
        tokio::time::advance(AGAIN).await;
        answers.borrow_mut().push(Ok("10.0.0.9"));
        let others = resolver.others("model", 80, &tried).await.unwrap();
        assert_eq!(shown(&others), "10.0.0.9:80");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_lookup_serves_all_who_wait_and_outlives_who_gives_up() {
        let (asked, answered) = (Rc::new(Cell::new(0)), Rc::new(tokio::sync::Notify::new()));
        for found in [Some("10.0.0.1:80".parse().unwrap()), None] {
            asked.set(0);
            let (count, come) = (Rc::clone(&asked), Rc::clone(&answered));
            let resolver = Resolver::new(Rc::new(move |_, _| {
                count.set(count.get() + 1);
                let come = Rc::clone(&come);
                Box::pin(async move {
                    come.notified().await;
                    Ok(found.into_iter().collect())
                })
            }));
            let ask = || resolver.addresses("model", 80);
            let second = Duration::from_secs(1);
            assert!(tokio::time::timeout(second, ask()).await.is_err());
            let answer = async {
                tokio::task::yield_now().await;
                answered.notify_one();
            };
            let (one, other, ()) = tokio::join!(ask(), ask(), answer);
            assert_eq!(one.is_ok(), found.is_some());
            assert_eq!(other.is_ok(), found.is_some());
            assert_eq!(asked.get(), 1);
        }
    }

    #[tokio::test]
    async fn an_address_is_its_own_and_asks_nobody() {
        let (resolver, _) = scripted();
        let addresses = resolver.addresses("::1", 80).await.unwrap();
        assert_eq!(shown(&addresses), "[::1]:80");
        assert!(resolver.others("::1", 80, &addresses).await.is_none());
        assert!(resolver.leads_to("::1", 80, "[::2]:80".parse().unwrap()));
    }
}
