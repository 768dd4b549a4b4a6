"""An asyncio server that echoes lines. Arguments: the pid file, the port (0 for any).

Where systemd has opened the port (a socket unit), that is used.
"""

import asyncio
import signal
import sys

import daemonctx


async def echo(reader, writer):
    async for line in reader:
        writer.write(line)
        await writer.drain()
    writer.close()


async def main(context):
    passed = [sock for name, sock in daemonctx.listen_sockets()]
    where = {"sock": passed[0]} if passed else {"host": "127.0.0.1", "port": int(sys.argv[2])}
    server = await asyncio.start_server(echo, **where)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on port {port}", file=sys.stderr)  # seen by whoever starts this: it is not ready yet
    async with daemonctx.Watchdog():
        with daemonctx.signals(signal.SIGTERM, signal.SIGHUP) as stream:
            await context.ready_async()
            async for number in stream:
                if number == signal.SIGTERM:
                    break
                daemonctx.notify_reloading()
                daemonctx.notify(f"READY=1\nSTATUS=port {port}")
    daemonctx.notify("STOPPING=1")
    server.close()  # connections that are open end with the loop


with daemonctx.DaemonContext(pidfile=sys.argv[1], umask=0o022, manual_ready=True) as context:
    asyncio.run(main(context))
