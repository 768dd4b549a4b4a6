"""gunicorn in a daemon that is ready when the port is bound. Arguments: the pid file, the log file, the port."""

import sys

import daemonctx
from gunicorn.app.base import BaseApplication


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello\n"]


class Server(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", f"127.0.0.1:{sys.argv[3]}")
        self.cfg.set("workers", 2)
        self.cfg.set("when_ready", lambda arbiter: context.ready())

    def load(self):
        return application


context = daemonctx.DaemonContext(pidfile=sys.argv[1], umask=0o022, stdout=sys.argv[2], stderr=sys.argv[2], manual_ready=True)
with context:
    Server().run()
