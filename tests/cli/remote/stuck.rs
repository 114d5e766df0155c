//! A disk that does not answer: a file that nobody writes to stands for it.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use super::live::{Live, wait_until};
use crate::sandbox::Sandbox;

/// Twice as many are more than there are threads for what waits for disks.
const MANY: usize = 300;

#[test]
fn a_halt_acts_although_every_reload_is_stuck_and_so_does_the_end() {
    let sandbox = Sandbox::new();
    let socket = sandbox.path("admin.sock");
    let address = format!("unix:{}", socket.display());
    let mut live = Live::start_in(sandbox, &format!("bind = \"{address}\""));
    wait_until("an answer", || {
        live.output(&["status", "--admin", &address])
            .status
            .success()
    });
    let file = live.sandbox.path("hormesis.toml");
    let fresh = live.sandbox.path("stuck");
    mknodat(CWD, &fresh, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo");
    std::fs::rename(&fresh, &file).expect("a name");
    for _ in 0..2 {
        let orders: Vec<_> = (0..MANY).map(|_| reload(&socket)).collect();
        // Who comes later is answered later: all of them are under way. Then they leave.
        assert!(
            live.output(&["status", "--admin", &address])
                .status
                .success()
        );
        drop(orders);
    }
    let halted = live.run(&["halt", "--reason", "stuck", "--admin", &address]);
    assert!(halted.contains("halted by order"), "{halted}");
    let added = live.run(&["add", "stall", "--on", "chat", "--admin", &address]);
    assert!(added.starts_with("exit code: 0"), "{added}");
    live.signal(Signal::TERM);
    wait_until("its end", || live.ended());
}

/// Orders a reload and does not wait for what comes of it.
fn reload(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).expect("a connection");
    stream
        .write_all(b"POST /config/reload HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        .expect("sent");
    stream
}
