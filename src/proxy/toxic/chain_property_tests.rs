//! What holds of any chain of toxics that drop nothing.

use proptest::prelude::*;

use super::*;

fn kinds() -> impl Strategy<Value = ToxicKind> {
    prop_oneof![
        Just(ToxicKind::Noop),
        (-5..200i64, 0..50i64).prop_map(|(l, j)| latency(l, j)),
        (1..500i64).prop_map(bandwidth),
        (0..600i64, 0..600i64, 0..300i64).prop_map(|(a, v, d)| slicer(a, v, d)),
        (0..100i64).prop_map(|delay_ms| ToxicKind::SlowClose { delay_ms }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    Wait(u64),
    Add(ToxicKind),
    Update(usize, ToxicKind),
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 1..3000).prop_map(Step::Push),
        3 => (0..80u64).prop_map(Step::Wait),
        1 => kinds().prop_map(Step::Add),
        1 => (0..8usize, kinds()).prop_map(|(at, kind)| Step::Update(at, kind)),
        1 => (0..8usize).prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever delays and slices are added, changed and removed on the way: every byte comes out
    /// once and in its place, and then the end.
    #[test]
    fn bytes_pass_whole_whatever_changes(
        first in prop::collection::vec(kinds(), 0..4),
        steps in prop::collection::vec(steps(), 1..40),
    ) {
        let mut bench = Bench::new(&first);
        let (mut sent, mut added) = (Vec::new(), 0);
        let name = |bench: &Bench, at: usize| {
            let toxics = bench.proxy.toxics();
            let at = at.checked_rem(toxics.len());
            at.map(|at| (toxics[at].toxic.name.to_string(), toxics[at].toxic.kind))
        };
        for step in steps {
            match step {
                Step::Push(bytes) => {
                    if bench.push(&bytes) {
                        sent.extend(bytes);
                    }
                }
                Step::Wait(time) => {
                    let time = bench.now - bench.start + Duration::from_millis(time);
                    bench.until(time);
                }
                Step::Add(kind) => {
                    added += 1;
                    bench.add(&format!("added {added}"), kind, 0.7);
                }
                Step::Update(at, kind) => {
                    if let Some((name, before)) = name(&bench, at)
                        && before.name() == kind.name()
                    {
                        bench.update(&name, kind);
                    }
                }
                Step::Remove(at) => {
                    if let Some((name, _)) = name(&bench, at) {
                        bench.remove(&name);
                    }
                }
            }
        }
        bench.end();
        bench.until(Duration::from_secs(100_000));
        let got: Vec<u8> = bench.left.iter().flat_map(|it| it.1.clone()).collect();
        prop_assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        prop_assert!(bench.is_over());
    }
}
