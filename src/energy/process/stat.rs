//! `/proc/PID/stat` (`proc_pid_stat(5)`), held open.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The fields that are of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// CPU time of the process and of its children that it has waited for, in ticks: what a
    /// child used does not vanish with it.
    pub(super) cpu_ticks: u64,
    /// Ticks from boot to its start: with the process id it names a process for good.
    pub(super) started: u64,
    pub(super) ended: bool,
}

#[derive(Debug)]
pub(super) struct StatFile(File);

impl StatFile {
    pub(super) fn open(procfs: &Path, pid: u32) -> Option<Self> {
        File::open(procfs.join(format!("{pid}/stat")))
            .ok()
            .map(Self)
    }

    /// `None`: the process is gone.
    pub(super) fn read(&self) -> Option<Stat> {
        let mut buffer = [0; 1024];
        let length = self.0.read_at(&mut buffer, 0).ok()?;
        parse(&buffer[..length])
    }
}

/// The command may hold spaces and parentheses: fields are counted from the last `)`.
fn parse(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&line[end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let own = number(11)?.checked_add(number(12)?)?;
    let waited = number(13)?.checked_add(number(14)?)?;
    Some(Stat {
        cpu_ticks: own.checked_add(waited)?,
        started: number(19)?,
        ended: matches!(*fields.first()?, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_counted_from_the_last_parenthesis() {
        let line = b"42 (a) R) b) S 7 1 1 0 -1 0 0 0 0 0 11 22 33 44 20 0 1 0 5555 1 1\n";
        let want = Stat {
            cpu_ticks: 110,
            started: 5555,
            ended: false,
        };
        assert_eq!(parse(line), Some(want));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"42 (a) S 7"), None);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _stat = parse(&line);
        }
    }
}
