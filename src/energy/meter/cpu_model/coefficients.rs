//! Watts per vCPU by CPU generation, idle and busy. From the `SPECpower` results as Cloud Carbon
//! Footprint condenses them (facts only).

use std::path::Path;

/// µW of one vCPU, idle (`min_uw`) and busy (`max_uw`); `min_uw < max_uw`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coefficients {
    pub generation: &'static str,
    pub min_uw: u64,
    pub max_uw: u64,
}

const fn watts(generation: &'static str, min_cw: u64, max_cw: u64) -> Coefficients {
    Coefficients {
        generation,
        min_uw: min_cw * 10_000,
        max_uw: max_cw * 10_000,
    }
}

const BROADWELL: Coefficients = watts("Broadwell", 71, 369);
const CASCADE_LAKE: Coefficients = watts("Cascade Lake", 64, 397);
const COFFEE_LAKE: Coefficients = watts("Coffee Lake", 114, 542);
const EPYC_1: Coefficients = watts("EPYC gen1", 82, 255);
const EPYC_2: Coefficients = watts("EPYC gen2", 47, 169);
const EPYC_3: Coefficients = watts("EPYC gen3", 45, 202);
const GRAVITON_2: Coefficients = watts("Graviton2", 47, 169);
const HASWELL: Coefficients = watts("Haswell", 190, 601);
const SKYLAKE: Coefficients = watts("Skylake", 64, 419);
const UNKNOWN: Coefficients = watts("unknown", 68, 411);

impl Coefficients {
    /// Those of this machine's CPU; of an average one where it is not known.
    pub fn of(procfs: &Path) -> Self {
        std::fs::read_to_string(procfs.join("cpuinfo")).map_or(UNKNOWN, |text| Self::parse(&text))
    }

    /// Reads `/proc/cpuinfo`. The numbers are used, not `model name`: virtual machines hide it.
    pub fn parse(cpuinfo: &str) -> Self {
        let field = |name: &str| {
            cpuinfo
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.trim() == name)
                .map(|(_, value)| value.trim())
        };
        let number = |name| field(name).and_then(|text| text.parse::<u32>().ok());
        if field("CPU part") == Some("0xd0c") {
            return GRAVITON_2;
        }
        let ids = (field("vendor_id"), number("cpu family"), number("model"));
        match ids {
            (Some("GenuineIntel"), Some(6), Some(model)) => match model {
                60 | 63 | 69 | 70 => HASWELL,
                61 | 71 | 79 | 86 => BROADWELL,
                // Intel gave both the same model; Cascade Lake begins at stepping 5.
                85 if number("stepping").is_some_and(|it| it >= 5) => CASCADE_LAKE,
                78 | 85 | 94 => SKYLAKE,
                158 => COFFEE_LAKE,
                _ => UNKNOWN,
            },
            (Some("AuthenticAMD"), Some(23), Some(0..=15)) => EPYC_1,
            (Some("AuthenticAMD"), Some(23), Some(49)) => EPYC_2,
            (Some("AuthenticAMD"), Some(25), Some(0..=15)) => EPYC_3,
            _ => UNKNOWN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intel(model: u32, stepping: u32) -> String {
        format!(
            "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: {model}\n\
             model name\t: Intel(R) Xeon(R) Processor\nstepping\t: {stepping}\n"
        )
    }

    #[test]
    fn generations_are_told_by_number() {
        let cases = [
            (intel(85, 4), SKYLAKE),
            (intel(85, 7), CASCADE_LAKE),
            (intel(63, 2), HASWELL),
            (intel(143, 8), UNKNOWN),
            (
                "vendor_id : AuthenticAMD\ncpu family : 25\nmodel : 1\n".to_owned(),
                EPYC_3,
            ),
            ("CPU part\t: 0xd0c\n".to_owned(), GRAVITON_2),
            (String::new(), UNKNOWN),
            ("model : x\nvendor_id : GenuineIntel".to_owned(), UNKNOWN),
        ];
        for (text, want) in cases {
            assert_eq!(Coefficients::parse(&text), want, "{text}");
        }
    }

    #[test]
    fn a_range_holds_its_value() {
        for it in [
            BROADWELL,
            CASCADE_LAKE,
            COFFEE_LAKE,
            EPYC_1,
            EPYC_2,
            EPYC_3,
            GRAVITON_2,
            HASWELL,
            SKYLAKE,
            UNKNOWN,
        ] {
            let spread = it.spread();
            assert!(spread.low <= 1000 && spread.high >= 1000, "{it:?}");
        }
    }
}
