//! A running sidecar and its service manager: readiness, reloads, passed sockets, the end.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::Sandbox;

/// Long enough for a machine under load; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(bind: &str) -> String {
    format!(
        "admin.bind = \"off\"\n[upstreams.u]\nendpoints = [\"tcp://127.0.0.1:1\"]\n[listeners.l]\nbind = \"{bind}\"\nupstream = \"u\"\n"
    )
}

/// A sidecar that tells this test how it stands.
struct Service {
    child: Child,
    told: UnixDatagram,
}

impl Service {
    fn start(sandbox: &Sandbox, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = sandbox.command(&["run", "hormesis.toml"]);
        change(&mut command);
        Self::run(sandbox, command)
    }

    fn run(sandbox: &Sandbox, mut command: Command) -> Self {
        let path = sandbox.path("notify.sock");
        let told = UnixDatagram::bind(&path).expect("a socket");
        told.set_read_timeout(Some(PATIENCE)).expect("a time");
        command.env("NOTIFY_SOCKET", &path).stderr(Stdio::piped());
        let child = command.spawn().expect("the binary starts");
        Self { child, told }
    }

    /// A signal to this process may interrupt the wait.
    fn receive(&self, room: &mut [u8]) -> usize {
        loop {
            match self.told.recv(room) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                received => return received.expect("a message"),
            }
        }
    }

    /// The next message that is no watchdog's.
    fn next(&self) -> String {
        loop {
            let mut room = [0; 1024];
            let count = self.receive(&mut room);
            let text = String::from_utf8_lossy(&room[..count]).into_owned();
            if !text.starts_with("WATCHDOG=1") {
                return text;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Ends it; its exit code and all that it has logged.
    fn end(self) -> (Option<i32>, String) {
        self.signal(Signal::TERM);
        self.rest()
    }

    fn rest(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let stderr = self.child.stderr.as_mut().expect("its pipe");
        stderr.read_to_string(&mut log).expect("its log");
        (self.child.wait().expect("its end").code(), log)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Of a test that failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_service_manager_hears_of_start_reload_and_stop() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", config("127.0.0.1:0"));
    let service = Service::start(&sandbox, |command| {
        command.arg("--no-watch");
    });
    let ready = service.next();
    assert!(
        ready.starts_with("READY=1\nSTATUS=generation 1:"),
        "{ready}"
    );
    service.signal(Signal::HUP);
    let reloading = service.next();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    let ready = service.next();
    assert!(
        ready.starts_with("READY=1\nSTATUS=generation 2:"),
        "{ready}"
    );
    sandbox.write("hormesis.toml", "sed = 1");
    service.signal(Signal::HUP);
    service.next();
    let failed = service.next();
    assert!(
        failed.contains("generation 2") && failed.contains("failed"),
        "{failed}"
    );
    service.signal(Signal::TERM);
    assert!(service.next().starts_with("STOPPING=1"));
    let (code, log) = service.rest();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("hormesis.toml:1:1: unknown section `sed`"),
        "{log}"
    );
}

#[test]
fn a_changed_file_is_read_again_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", config("127.0.0.1:0"));
    let service = Service::start(&sandbox, |_| {});
    service.next();
    sandbox.write(
        "new.toml",
        config("127.0.0.1:0") + "[limits]\nkeep_alive = \"7s\"\n",
    );
    std::fs::rename(sandbox.path("new.toml"), sandbox.path("hormesis.toml")).expect("a rename");
    assert!(service.next().starts_with("RELOADING=1"));
    assert!(service.next().contains("generation 2"));
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn what_came_from_flags_is_not_read_again() {
    let sandbox = Sandbox::new();
    let flags = [
        "run",
        "--upstream",
        "tcp://127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "off",
    ];
    let service = Service::run(&sandbox, sandbox.command(&flags));
    service.next();
    service.signal(Signal::HUP);
    service.next();
    assert!(service.next().contains("failed"));
    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("given by flags"), "{log}");
}

#[test]
fn the_watchdog_is_told_while_workers_answer() {
    let sandbox = Sandbox::new();
    sandbox.write("hormesis.toml", config("127.0.0.1:0"));
    let service = Service::start(&sandbox, |command| {
        command.env("WATCHDOG_USEC", "20000");
    });
    let mut beats = 0;
    while beats < 5 {
        let mut room = [0; 256];
        let count = service.receive(&mut room);
        beats += usize::from(&room[..count] == b"WATCHDOG=1\n");
    }
    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
}

/// `sh` puts the socket, which is its standard input, where a passed one stands: at 3.
#[test]
fn a_passed_socket_is_served_by_the_listener_of_its_name_or_address() {
    for (names, bind) in [(Some("l"), "127.0.0.1:0"), (None, "address")] {
        let sandbox = Sandbox::new();
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("its address");
        sandbox.write(
            "hormesis.toml",
            config(&bind.replace("address", &address.to_string())),
        );
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\" 3<&0 </dev/null"])
            .arg(env!("CARGO_BIN_EXE_hormesis"))
            .args(["run", "hormesis.toml"])
            .current_dir(sandbox.path(""))
            .env("LISTEN_FDS", "1")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)));
        if let Some(names) = names {
            command.env("LISTEN_FDNAMES", names);
        }
        let service = Service::run(&sandbox, command);
        service.next();
        // The socket is kept by a reload.
        for _ in 0..2 {
            TcpStream::connect(address).expect("it listens where it was passed");
            service.signal(Signal::HUP);
            service.next();
            service.next();
        }
        let (code, log) = service.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains(&format!("address={address}")), "{log}");
    }
}

#[test]
fn the_file_of_a_unix_socket_is_gone_after_the_end() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("l.sock");
    sandbox.write("hormesis.toml", config(&format!("unix:{}", path.display())));
    let service = Service::start(&sandbox, |_| {});
    service.next();
    assert!(path.exists());
    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(!path.exists());
}
