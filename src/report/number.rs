//! Numbers for readers: three digits are what these measurements carry. A no-break space keeps a
//! number and its unit on one line.

/// A time given in microseconds.
pub fn time(micros: u64) -> String {
    let micros = super::run::float(micros);
    if micros < 1e3 {
        format!("{micros:.0}\u{a0}µs")
    } else if micros < 1e6 {
        format!("{}\u{a0}ms", digits(micros / 1e3))
    } else {
        format!("{}\u{a0}s", digits(micros / 1e6))
    }
}

pub fn joules(joules: f64) -> String {
    let size = joules.abs();
    if size == 0.0 {
        "0\u{a0}J".to_owned()
    } else if size < 1e-3 {
        format!("{}\u{a0}µJ", digits(joules * 1e6))
    } else if size < 1.0 {
        format!("{}\u{a0}mJ", digits(joules * 1e3))
    } else if size < 1e3 {
        format!("{}\u{a0}J", digits(joules))
    } else {
        format!("{}\u{a0}kJ", digits(joules / 1e3))
    }
}

/// Microjoules where they are known.
pub(super) fn optional_joules(microjoules: Option<u64>) -> String {
    microjoules.map_or_else(
        || "null".to_owned(),
        |microjoules| joules(super::run::joules(microjoules)),
    )
}

/// A share from 0 to 1. What is not nothing does not read as 0 %.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 {
        "0\u{a0}%".to_owned()
    } else if percent < 0.1 {
        "<\u{a0}0.1\u{a0}%".to_owned()
    } else if percent < 10.0 {
        format!("{percent:.1}\u{a0}%")
    } else {
        format!("{percent:.0}\u{a0}%")
    }
}

/// Three significant digits, without an exponent.
pub fn digits(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 {
        format!("{value:.0}")
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_follow_the_size() {
        assert_eq!(time(950), "950\u{a0}µs");
        assert_eq!(time(12_340), "12.3\u{a0}ms");
        assert_eq!(time(1_500_000), "1.50\u{a0}s");
        assert_eq!(joules(0.0), "0\u{a0}J");
        assert_eq!(joules(0.1234), "123\u{a0}mJ");
        assert_eq!(joules(12.5), "12.5\u{a0}J");
        assert_eq!(joules(4200.0), "4.20\u{a0}kJ");
    }

    #[test]
    fn a_small_share_is_not_nothing() {
        assert_eq!(percent(0.0), "0\u{a0}%");
        assert_eq!(percent(0.0001), "<\u{a0}0.1\u{a0}%");
        assert_eq!(percent(0.0123), "1.2\u{a0}%");
        assert_eq!(percent(0.5), "50\u{a0}%");
    }

    #[test]
    fn digits_round_before_they_count() {
        assert_eq!(digits(9.999), "10.0");
        assert_eq!(digits(99.97), "100");
        assert_eq!(digits(0.123), "0.12");
    }
}
