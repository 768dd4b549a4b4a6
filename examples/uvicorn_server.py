"""uvicorn in a daemon that is ready when the port is bound. Arguments: the pid file, the log file, the port."""

import sys

import daemonctx
import uvicorn


async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"hello\n"})


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        if self.started:
            await context.ready_async()


context = daemonctx.DaemonContext(pidfile=sys.argv[1], umask=0o022, stdout=sys.argv[2], stderr=sys.argv[2], manual_ready=True)
with context:
    Server(uvicorn.Config(application, host="127.0.0.1", port=int(sys.argv[3]), lifespan="off")).run()
