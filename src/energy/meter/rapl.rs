//! `rapl`: the energy counters of Intel and AMD CPUs, through the kernel's powercap tree
//! (`Documentation/power/powercap/powercap.rst`).

mod twin;
mod zone;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::twin::Twins;
use self::zone::Zone;
use super::{Meter, MeterError, MeterKind, Place, Unavailable};
use crate::energy::reading::{Domain, Quiet, Reach, Reading, Source, Spread, Tier, Usage};

/// RAPL counts in steps of 2^-14 J on most CPUs.
const QUANTUM_UJ: u64 = 61;
/// The hardware updates its counters about every millisecond.
const LAG_NS: u64 = 1_000_000;
/// A package that draws nothing for so long is a counter that stands.
const STANDS_NS: u64 = 2_000_000_000;

/// The CPU's own energy counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rapl {
    /// Take `psys`, the whole platform, in place of packages and DRAM.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub psys: bool,
}

impl MeterKind for Rapl {
    const NAME: &'static str = "rapl";
    const DOC: &'static str = "Energy counters of the CPU packages, and of DRAM where there is \
        one, from /sys/class/powercap. Needs to read `energy_uj`, which most systems give to root \
        alone. The hardware measures; what runs on the machine shares it by CPU time.";
    const EXAMPLE: &'static str = "{ rapl = {} }";

    fn open(&self, place: &Place) -> Result<Box<dyn Meter>, Unavailable> {
        let root = place.sysfs.join("class/powercap");
        let names = zone_names(&root)?;
        let mut zones: Vec<Zone> = Vec::new();
        let mut refusal = None;
        for name in names {
            let Some((label, domain)) = label(&root.join(&name), self.psys) else {
                continue;
            };
            // The mmio interface shows the same package again; `intel-rapl:` sorts before it.
            if zones.iter().any(|zone| zone.label == label) {
                continue;
            }
            match Zone::open(root.join(&name), label, domain, place.now) {
                Ok(zone) => zones.push(zone),
                Err(error) => refusal = Some(error),
            }
        }
        if !zones.iter().any(|zone| zone.domain != Domain::Dram) {
            return Err(refusal.unwrap_or_else(|| Unavailable {
                reason: format!("{} has no zone of the wanted kind", root.display()),
                hint: None,
            }));
        }
        let sources = zones.iter().map(source).collect();
        Ok(Box::new(OpenRapl {
            twins: Twins::new(&zones),
            zones,
            sources,
        }))
    }
}

/// The zones under the powercap root, sorted by name.
fn zone_names(root: &Path) -> Result<Vec<String>, Unavailable> {
    let entries = std::fs::read_dir(root).map_err(|error| Unavailable {
        reason: format!("{}: {error}", root.display()),
        hint: Some("modprobe intel_rapl_msr (virtual machines rarely have it)".to_owned()),
    })?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("intel-rapl:") || name.starts_with("intel-rapl-mmio:"))
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        return Err(Unavailable {
            reason: format!("{} has no intel-rapl zone", root.display()),
            hint: Some("modprobe intel_rapl_msr (virtual machines rarely have it)".to_owned()),
        });
    }
    Ok(names)
}

/// What a zone is, if it is to be counted. `core` and `uncore` are parts of their package.
fn label(zone: &Path, psys: bool) -> Option<(String, Domain)> {
    let name = std::fs::read_to_string(zone.join("name")).ok()?;
    let name = name.trim();
    let domain = if name == "psys" {
        psys.then_some(Domain::Node)?
    } else if psys {
        return None;
    } else if name.starts_with("package") {
        return Some((name.to_owned(), Domain::Cpu));
    } else {
        (name == "dram").then_some(Domain::Dram)?
    };
    // Each package has a `dram` of its own: `intel-rapl:1:0` is that of package 1.
    let number = zone.file_name()?.to_str()?.split(':').nth(1)?;
    Some((format!("{name}-{number}"), domain))
}

fn source(zone: &Zone) -> Source {
    Source {
        id: format!("rapl/{}", zone.label),
        domain: zone.domain,
        tier: Tier::Measured,
        reach: Reach::Machine,
        idle_uw: None,
        quantum_uj: QUANTUM_UJ,
        lag_ns: LAG_NS,
        quiet: Quiet::Gap(STANDS_NS),
        spread: Spread::NONE,
    }
}

#[derive(Debug)]
struct OpenRapl {
    zones: Vec<Zone>,
    twins: Twins,
    sources: Vec<Source>,
}

impl Meter for OpenRapl {
    fn sources(&self) -> &[Source] {
        &self.sources
    }

    fn read(&mut self, source: usize, at: u64, _usage: &Usage) -> Result<Reading, MeterError> {
        let reading = self.zones[source].read(at)?;
        Ok(self.twins.judge(source, reading))
    }
}
