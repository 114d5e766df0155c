//! Dividing whole µJ so that the parts add up to the whole.

/// Divides `total` in proportion to `weights` by largest remainders: the parts add up to `total`
/// exactly, and none is off its true share by 1 or more. Among equal remainders the first gains.
/// All zero where no weight is above zero: the caller then knows that nothing was divided.
pub fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let mut parts = vec![0; weights.len()];
    apportion_into(total, weights, &mut parts, &mut Vec::new());
    parts
}

/// As [`apportion`], with memory to use again. `parts` is as long as `weights`.
pub(super) fn apportion_into(
    total: u64,
    weights: &[u64],
    parts: &mut [u64],
    remainders: &mut Vec<(u64, usize)>,
) {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    parts.fill(0);
    if sum == 0 {
        return;
    }
    // A window's figures fit, and so do their remainders; dividing 128 bits takes ten times as long.
    match u64::try_from(sum) {
        Ok(sum) => share_out(total, weights, parts, remainders, |weight| {
            divide(total, weight, sum)
        }),
        Err(_) => share_out(total, weights, parts, &mut Vec::new(), |weight| {
            let product = u128::from(total) * u128::from(weight);
            let part = u64::try_from(product / sum).unwrap_or(total);
            (part, product % sum)
        }),
    }
}

/// `divide`: the whole part of a weight, and the remainder.
fn share_out<R: Ord + Copy>(
    total: u64,
    weights: &[u64],
    parts: &mut [u64],
    remainders: &mut Vec<(R, usize)>,
    divide: impl Fn(u64) -> (u64, R),
) {
    remainders.clear();
    let mut given = 0_u64;
    for (index, weight) in weights.iter().enumerate() {
        let (part, remainder) = divide(*weight);
        parts[index] = part;
        given += part;
        remainders.push((remainder, index));
    }
    let left = usize::try_from(total - given).unwrap_or(remainders.len());
    if left == 0 {
        return;
    }
    // Only who is among the first counts, not in which order.
    let first = |a: &(R, usize), b: &(R, usize)| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
    remainders.select_nth_unstable_by((left - 1).min(weights.len() - 1), first);
    for (_, index) in remainders.iter().take(left) {
        parts[*index] += 1;
    }
}

/// `total * weight / sum` and its remainder; `weight` is a part of `sum`, so both fit.
fn divide(total: u64, weight: u64, sum: u64) -> (u64, u64) {
    if let Some(product) = total.checked_mul(weight) {
        return (product / sum, product % sum);
    }
    let product = u128::from(total) * u128::from(weight);
    let narrow = |it: u128| u64::try_from(it).unwrap_or(total);
    (
        narrow(product / u128::from(sum)),
        narrow(product % u128::from(sum)),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_add_up_and_none_is_off_by_one(
            total in any::<u64>(),
            weights in proptest::collection::vec(prop_oneof![Just(0), 0..1000_u64, any::<u64>()], 1..40),
        ) {
            let parts = apportion(total, &weights);
            let sum: u128 = weights.iter().map(|it| u128::from(*it)).sum();
            let given: u128 = parts.iter().map(|it| u128::from(*it)).sum();
            prop_assert_eq!(given, if sum == 0 { 0 } else { u128::from(total) });
            for (part, weight) in parts.iter().zip(&weights) {
                let floor = (u128::from(total) * u128::from(*weight)).checked_div(sum).unwrap_or(0);
                prop_assert!(u128::from(*part) == floor || u128::from(*part) == floor + 1);
                prop_assert!(*weight > 0 || *part == 0);
            }
        }

        #[test]
        fn order_changes_a_part_by_one_at_most(
            total in 0..1_000_000_u64,
            weights in proptest::collection::vec(0..50_u64, 1..20),
            by in 0..20_usize,
        ) {
            let mut turned = weights.clone();
            turned.rotate_left(by % weights.len());
            let mut parts = apportion(total, &turned);
            parts.rotate_right(by % weights.len());
            for (one, other) in apportion(total, &weights).iter().zip(&parts) {
                prop_assert!(one.abs_diff(*other) <= 1);
            }
        }
    }
}
