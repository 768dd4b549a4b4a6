"""Daemons by daemonctx_open() in languages that handle signals themselves: what becomes of the pid file."""

from __future__ import annotations

import fcntl
import os
import pathlib
import signal

import pytest
from conftest import FOLDER, PID_FILE, ended, made, run, until

PHP = """<?php
function start(bool $defaults = false) {
    $library = FFI::cdef('
        void *daemonctx_new(void);
        int daemonctx_set_pid_file(void *ctx, const char *path);
        int daemonctx_set_signal(void *ctx, int signal, int action);
        int daemonctx_open(void *ctx);
    ', 'libdaemonctx.so.0');
    $ctx = $library->daemonctx_new();
    if ($library->daemonctx_set_pid_file($ctx, '/tmp/greeter.pid') || ($defaults && $library->daemonctx_set_signal($ctx, SIGTERM, 0)) ||
        $library->daemonctx_open($ctx)) {
        exit(1);
    }
    return $library;
}
"""
PERL = """use FFI::Platypus;
sub start {
    my $library = FFI::Platypus->new(api => 1, lib => 'libdaemonctx.so.0');
    $library->attach(@$_) for [daemonctx_new => [] => 'opaque'], [daemonctx_set_pid_file => ['opaque', 'string'] => 'int'],
        [daemonctx_open => ['opaque'] => 'int'];
    my $ctx = daemonctx_new();
    exit 1 if daemonctx_set_pid_file($ctx, '/tmp/greeter.pid') || daemonctx_open($ctx);
    return $library;
}
"""
RUBY = """require "fiddle/import"
module Library
  extend Fiddle::Importer
  dlload "libdaemonctx.so.0"
  extern "void *daemonctx_new()"
  extern "int daemonctx_set_pid_file(void *, const char *)"
  extern "int daemonctx_set_keep_all_descriptors(void *, int)"
  extern "int daemonctx_set_signal(void *, int, int)"
  extern "int daemonctx_open(void *)"
end
def start(defaults = false)
  ctx = Library.daemonctx_new
  exit 1 if defaults && Library.daemonctx_set_signal(ctx, Signal.list["TERM"], 0).nonzero?
  exit 1 unless Library.daemonctx_set_pid_file(ctx, "/tmp/greeter.pid").zero? &&
                Library.daemonctx_set_keep_all_descriptors(ctx, 1).zero? && Library.daemonctx_open(ctx).zero?
end
"""
LUA = """local ffi = require("ffi")
ffi.cdef [[
    void *daemonctx_new(void);
    int daemonctx_set_pid_file(void *ctx, const char *path);
    int daemonctx_open(void *ctx);
    int pause(void);
]]
local function start()
    local library = ffi.load("libdaemonctx.so.0")
    local ctx = library.daemonctx_new()
    if library.daemonctx_set_pid_file(ctx, "/tmp/greeter.pid") ~= 0 or library.daemonctx_open(ctx) ~= 0 then os.exit(1) end
    return library
end
"""
# For a daemon that waits for signals, and calls its handlers soon.
WAITS = {
    "php": "touch('/tmp/runtimes/ready'); while (true) usleep(10000);",
    "perl": "open my $ready, '>', '/tmp/runtimes/ready'; select(undef, undef, undef, 0.01) while 1;",
    "ruby": "File.write('/tmp/runtimes/ready', ''); sleep",
    "lua": "io.open('/tmp/runtimes/ready', 'w'):close() ffi.C.pause()",
}
PRELUDES = {"php": (PHP, "php"), "perl": (PERL, "perl"), "ruby": (RUBY, "ruby"), "lua": (LUA, "luajit")}
READY = FOLDER / "ready"
KILLED = -signal.SIGTERM


def start(language: str, text: str) -> int:
    """The PID of a daemon that has come to where it waits."""
    made(language)
    prelude, interpreter = PRELUDES[language]
    (FOLDER / "daemon").write_text(f"{prelude}{text}\n{WAITS[language]}\n")
    READY.unlink(missing_ok=True)
    started = run(interpreter, str(FOLDER / "daemon"))
    assert (started.returncode, started.stdout) == (0, "")
    until(READY.exists, "ready")
    return int(PID_FILE.read_text())


def is_locked(path: pathlib.Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def terminate(pid: int) -> int:
    os.kill(pid, signal.SIGTERM)
    return ended(pid)


@pytest.mark.parametrize("language, text, status", [
    ("php", "pcntl_async_signals(true); pcntl_signal(SIGTERM, fn() => exit()); $library = start();", 0),
    ("php", "$library = start(); pcntl_async_signals(true); pcntl_signal(SIGTERM, fn() => exit(3));", 3),
    ("php", "$library = start(); pcntl_async_signals(true); pcntl_signal(SIGTERM, fn() => throw new Exception());", 255),
    ("perl", "$SIG{TERM} = sub { exit }; my $library = start();", 0),
    ("perl", "my $library = start(); $SIG{TERM} = sub { exit 3 };", 3),
    ("perl", "my $library = start(); $SIG{TERM} = sub { $! = 4; die };", 4),
    ("perl", "my $library = start();", KILLED),
    ("ruby", "trap('TERM') { exit }; start", 0),
    ("ruby", "start; trap('TERM') { exit 3 }", 3),
    ("lua", "local library = start()", KILLED),
])
def test_a_handler_that_ends_the_program_removes_the_pid_file(clean: None, language: str, text: str, status: int) -> None:
    assert terminate(start(language, text)) == status
    assert not PID_FILE.exists()


@pytest.mark.parametrize("language, text", [
    ("php", "start(true); gc_collect_cycles();"),
    ("perl", "start();"),
    ("lua", "start() collectgarbage() collectgarbage()"),
])
def test_a_library_that_is_garbage_does_not_end_with_its_object(clean: None, language: str, text: str) -> None:
    pid = start(language, text)
    assert is_locked(PID_FILE)
    assert terminate(pid) == KILLED
    assert not PID_FILE.exists()


@pytest.mark.parametrize("language, text", [("php", "$library = start();"), ("ruby", "start")])
def test_a_runtime_that_kills_itself_leaves_a_stale_file(clean: None, language: str, text: str) -> None:
    """It has a handler from the beginning, which ends the process by the signal: no exit handler runs."""
    assert terminate(start(language, text)) == KILLED
    assert not is_locked(PID_FILE)
    assert terminate(start(language, text)) == KILLED


@pytest.mark.parametrize("language, text", [("php", "$library = start(true);"), ("ruby", "start true")])
def test_the_default_action_removes_the_file_there(clean: None, language: str, text: str) -> None:
    assert terminate(start(language, text)) == KILLED
    assert not PID_FILE.exists()
