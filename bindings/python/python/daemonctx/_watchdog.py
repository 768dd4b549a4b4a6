"""The service manager's watchdog."""

from ._supervisor import notify, watchdog_interval


class Watchdog:
    """Tells the service manager, twice in each interval that it asks for (``WatchdogSec=``), that the daemon is alive.

        async with daemonctx.Watchdog():  # as long as the loop runs
            await serve()

        with daemonctx.Watchdog(alive=lambda: time.monotonic() - last_round < 5):  # as long as the callable says so
            serve_forever()

    In coroutines a task of the loop does it, so a loop that something blocks says nothing. A thread would go on saying it while
    the rest of the daemon hangs: outside of coroutines there has to be something to ask, and what it asks should know of the
    daemon's real work. Where no watchdog is wanted, nothing happens, and there is no thread.

    To be entered after `DaemonContext.open`: threads do not survive a start, which warns of them.

    :param alive: is called before each message, without arguments; nothing is said when it returns something false, or raises:
        then the exception is reported as one of a thread, or to the loop. It should come back at once.
    """

    def __init__(self, alive=None):
        self._alive = alive
        self._end = None
        self._task = None

    def __enter__(self):
        if self._alive is None:
            from ._errors import UsageError

            raise UsageError("watchdog: a thread alone proves nothing; use Watchdog(alive=...), or async with", step="watchdog")
        self._refuse_second()
        interval = watchdog_interval()
        if interval is not None:
            import threading

            self._end = threading.Event()
            arguments = (self._end, interval / 2)
            threading.Thread(target=self._watch, args=arguments, name="daemonctx watchdog", daemon=True).start()
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        if self._end is not None:
            self._end.set()
            self._end = None

    def _watch(self, end, period):
        import sys
        import threading

        while not end.is_set():
            try:
                self._tell()
            except Exception:
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
            end.wait(period)

    async def __aenter__(self):
        self._refuse_second()
        interval = watchdog_interval()
        if interval is not None:
            import asyncio

            # The loop itself holds no more than a weak reference to it.
            self._task = asyncio.ensure_future(self._watch_async(interval / 2))
        return self

    async def __aexit__(self, exc_type, exc_value, exc_tb):
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _watch_async(self, period):
        import asyncio

        loop = asyncio.get_running_loop()
        while True:
            try:
                self._tell()
            except Exception as error:
                loop.call_exception_handler({"message": "Watchdog: alive() failed", "exception": error})
            await asyncio.sleep(period)

    def _tell(self):
        if self._alive is not None and not self._alive():
            return
        try:
            notify("WATCHDOG=1")
        except OSError:
            pass  # A manager that is just being started again hears the next one.

    def _refuse_second(self):
        if self._end is not None or self._task is not None:
            from ._errors import UsageError

            raise UsageError("watchdog failed: entered already", step="watchdog")
