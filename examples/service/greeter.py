"""A small service: answers every HTTP request with a greeting. In Python; beside it the same in C and Rust.

SIGHUP reads the greeting again, SIGUSR1 opens the log anew, SIGTERM ends it. README.md says how to run it.
"""

from __future__ import annotations

import argparse
import http.server
import selectors
import signal
import socketserver
import sys

import daemonctx

PATIENCE = 1  # seconds for a client to say what it wants


class Answer(http.server.BaseHTTPRequestHandler):
    """What it asks for does not matter."""

    timeout = PATIENCE
    server: Greeter

    def do_GET(self) -> None:
        body = f"{self.server.greeting}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


class Greeter(socketserver.TCPServer):
    """Listens from the moment it is made: as root, if the port is one of root's."""

    allow_reuse_address = True
    timeout = 0  # the selector has waited already, and who has asked may be gone
    greeting = ""

    def __init__(self, port: int, config: str) -> None:
        self.config = config
        self.read_greeting()
        super().__init__(("127.0.0.1", port), Answer)
        self.socket.setblocking(False)

    def read_greeting(self) -> None:
        """The first line of the configuration; the one before stays where it cannot be read."""
        with open(self.config, encoding="utf-8") as file:
            line = file.readline()
        if not line:
            raise ValueError(f"{self.config}: empty")
        self.greeting = line.rstrip("\n")


def log(text: object) -> None:
    print(f"greeter: {text}", file=sys.stderr, flush=True)


def reload(server: Greeter) -> None:
    daemonctx.notify_reloading()
    try:
        server.read_greeting()
        log(f"greets with: {server.greeting}")
    except (OSError, ValueError) as why:
        log(why)
    daemonctx.notify("READY=1")


def reopen(context: daemonctx.DaemonContext) -> None:
    try:
        context.reopen_streams()
    except daemonctx.DaemonError as why:
        log(why)


def serve(context: daemonctx.DaemonContext, server: Greeter, signals: daemonctx.SignalStream) -> None:
    """One request at a time, in a single thread: what is late with its WATCHDOG=1 hangs."""
    interval = daemonctx.watchdog_interval()
    with selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        while True:
            if interval:
                daemonctx.notify("WATCHDOG=1")
            ready = {key.fileobj for key, _ in selector.select(interval / 2 if interval else None)}
            if server in ready:
                server.handle_request()
            while number := signals.take():
                if number == signal.SIGHUP:
                    reload(server)
                elif number == signal.SIGUSR1:
                    reopen(context)
                else:
                    return


def port_number(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= 65535:
        raise argparse.ArgumentTypeError(f"{word}: not a number from 1 to 65535")
    return int(word)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="greeter", description="Answers every HTTP request with a greeting.")
    parser.add_argument("-p", dest="port", type=port_number, default=80)
    parser.add_argument("-c", dest="config", default="/etc/greeter.conf")
    parser.add_argument("-l", dest="log", default="/var/log/greeter.log")
    parser.add_argument("-i", dest="pidfile", default="/run/greeter.pid")
    parser.add_argument("-u", dest="user", default="nobody")
    return parser.parse_args()


def main() -> None:
    asked = options()
    try:
        server = Greeter(asked.port, asked.config)
    except (OSError, ValueError) as why:
        sys.exit(f"greeter: {why}")
    context = daemonctx.DaemonContext(
        pidfile=daemonctx.PidFile(asked.pidfile),
        uid=asked.user,
        initgroups=True,
        umask=0o022,
        stderr=daemonctx.LogFile(asked.log, user=asked.user),
        files_preserve=[server],
        manual_ready=True,
    )
    with context, daemonctx.signals(signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT) as signals:
        context.ready()  # clients are answered from here on
        serve(context, server, signals)
        daemonctx.notify("STOPPING=1")


if __name__ == "__main__":
    main()
