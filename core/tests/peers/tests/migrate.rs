//! The programs of docs/migrate/daemonize-crate.md: they are those of the page, and do what it says.
#![allow(clippy::unwrap_used, reason = "a test that fails has to say so at once")]

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PAGE: &str = include_str!("../../../../docs/migrate/daemonize-crate.md");

/// A folder for one test, and the daemon that it started.
struct Sandbox(PathBuf);

impl Sandbox {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("peers-{name}-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn start(&self, program: &str) -> Output {
        Command::new(program).arg(&self.0).output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// What the log says, once it says that.
    fn address(&self) -> String {
        loop {
            let log = fs::read_to_string(self.path("hello.log")).unwrap_or_default();
            if let Some(address) = log.lines().find_map(|line| line.strip_prefix("listening on ")) {
                return address.to_owned();
            }
            std::thread::yield_now();
        }
    }

    fn says_hello(&self) {
        let mut said = String::new();
        TcpStream::connect(self.address()).unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello\n");
    }

    fn pid(&self) -> String {
        fs::read_to_string(self.path("hello.pid")).unwrap().trim().to_owned()
    }

    fn terminate(&self, pid: &str) {
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        while Path::new("/proc").join(pid).exists() {
            std::thread::yield_now();
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn programs_are_those_of_the_page() {
    let blocks: Vec<&str> = PAGE.split("```").skip(1).step_by(2).collect();
    for program in [include_str!("../src/bin/before.rs"), include_str!("../src/bin/after.rs")] {
        assert!(
            blocks.iter().any(|block| block.split_once('\n').is_some_and(|(_, code)| code == program)),
            "{program}"
        );
    }
}

#[test]
fn every_method_has_a_row() {
    let methods = [
        "pid_file",
        "chown_pid_file",
        "working_directory",
        "user",
        "group",
        "umask",
        "chroot",
        "stdout",
        "stderr",
        "privileged_action",
        "exit_action",
        "start",
        "execute",
    ];
    for method in methods {
        assert!(PAGE.lines().any(|line| line.starts_with("| `") && line.contains(&format!("`{method}("))), "{method}");
    }
}

#[test]
fn before_and_after_say_hello() {
    for program in [env!("CARGO_BIN_EXE_before"), env!("CARGO_BIN_EXE_after")] {
        let sandbox = Sandbox::new("hello");
        assert!(sandbox.start(program).status.success(), "{program}");
        sandbox.says_hello();
        sandbox.terminate(&sandbox.pid());
    }
}

#[test]
fn a_second_start_is_reported() {
    let sandbox = Sandbox::new("second");
    assert!(sandbox.start(env!("CARGO_BIN_EXE_before")).status.success());
    sandbox.says_hello();
    let pid = sandbox.pid();
    // Its daemon cannot lock the pid file.
    let second = sandbox.start(env!("CARGO_BIN_EXE_before"));
    assert!(second.status.success(), "{second:?}");
    sandbox.terminate(&pid);
    assert!(sandbox.path("hello.pid").exists(), "it stays");

    let sandbox = Sandbox::new("after");
    assert!(sandbox.start(env!("CARGO_BIN_EXE_after")).status.success());
    sandbox.says_hello();
    let pid = sandbox.pid();
    let second = sandbox.start(env!("CARGO_BIN_EXE_after"));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(1) && said.contains(&format!("already running as PID {pid}")), "{second:?}");
    sandbox.says_hello();
    sandbox.terminate(&pid);
    assert!(!sandbox.path("hello.pid").exists(), "it is removed");
}
