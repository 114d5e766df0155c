//! Giving memory back to the system once thousands of connections have ended. One of the few files
//! with `unsafe`.
//!
//! glibc keeps what was freed below its highest block in use, which may be all of it: 20,000 delayed
//! calls left 70 MiB behind.

/// Connections whose end leaves enough behind that looking for it pays.
const MANY: usize = 1_000;

/// Watches how many connections there are.
#[derive(Debug, Default)]
pub(super) struct Trim {
    most: usize,
}

impl Trim {
    /// To be told now and then how many there are. When three quarters of many have ended, what they
    /// used is given back: some milliseconds for each 100 MiB.
    pub(super) fn look(&mut self, connections: usize) {
        self.most = self.most.max(connections);
        if self.most >= MANY && connections < self.most / 4 {
            self.most = connections;
            give_back();
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn give_back() {
    // SAFETY: it takes a number, may be called from any thread at any time, and touches free memory
    // only (malloc_trim(3), "MT-Safe").
    #[expect(unsafe_code, reason = "the C library has no safe form of it")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries give back by themselves, or have no such call.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back() {}
