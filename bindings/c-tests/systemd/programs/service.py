"""A service made with the Python package: the same words as service.c."""

import os
import signal
import sys
import time

import daemonctx

PARTS = {"HUP:": signal.SIGHUP, "TERM:": signal.SIGTERM, "USR1:": signal.SIGUSR1, "USR2:": signal.SIGUSR2}


class Service:
    def __init__(self, words):
        self.parts = {None: []}
        part = None
        for word in words:
            if word in PARTS:
                part = PARTS[word]
                self.parts[part] = []
            else:
                self.parts[part].append(word)
        self.options = {}
        self.context = None
        self.period = 0

    def play(self, part=None):
        for word in self.parts[part]:
            name, _, value = word.partition("=")
            getattr(self, "on_" + name.replace("-", "_"))(value)

    # --- the start ---------------------------------------------------------------------------------------------------

    def on_pidfile(self, path):
        self.options["pidfile"] = daemonctx.PidFile(path)

    def on_detach(self, value):
        self.options["detach_process"] = value == "yes"

    def on_manual(self, _):
        self.options["manual_ready"] = True

    def on_timeout(self, value):
        self.options["ready_timeout"] = int(value) / 1000

    def on_user(self, name):
        self.options["uid"] = name

    def on_keep_stderr(self, _):
        self.options["stderr"] = sys.stderr

    def on_open(self, _):
        # Without a part for SIGTERM, what DaemonContext does with it.
        signals = daemonctx.DaemonContext().signal_map
        signals.update((part, lambda number, frame: self.play(number)) for part in self.parts if part is not None)
        self.context = daemonctx.DaemonContext(signal_map=signals, **self.options)
        self.context.open()

    def on_ready(self, _):
        self.context.ready()

    def on_fail(self, message):
        raise RuntimeError(message)

    # --- what the manager is told --------------------------------------------------------------------------------------

    def on_tell(self, state):
        if not daemonctx.notify(state):
            raise RuntimeError("there is no manager")

    def on_reloading(self, _):
        self.on_tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def on_watchdog(self, _):
        # As every program does it that has no library for it.
        if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            raise RuntimeError(f"the watchdog is for {os.environ['WATCHDOG_PID']}, this is {os.getpid()}")
        self.period = int(os.environ["WATCHDOG_USEC"]) / 1e6

    def on_silent(self, _):
        self.period = 0

    # --- the rest ------------------------------------------------------------------------------------------------------

    def on_exit(self, value):
        sys.exit(int(value))

    def on_kill(self, value):
        os.kill(os.getpid(), int(value))

    def on_hang(self, _):
        while True:
            signal.pause()

    def on_meet(self, path):
        with open(path, "rb") as fifo:
            fifo.read()

    def on_say(self, text):
        print(text, file=sys.stderr, flush=True)

    def on_serve(self, _):
        while True:
            if self.period:
                self.on_tell("WATCHDOG=1")
                time.sleep(self.period / 2)
            else:
                signal.pause()


Service(sys.argv[1:]).play()
