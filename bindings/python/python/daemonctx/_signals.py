"""Signals one after the other, from a descriptor: for loops, asyncio, select."""

import os
import select
import signal

from . import _native


def signals(*numbers):
    """A `SignalStream` of these signals; it catches them from now on.

        for number in daemonctx.signals(signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGTERM:
                break

    With ``async for`` it is the same in a coroutine.
    """
    return SignalStream(*numbers)


class SignalStream:
    """Signals of this process as an iterator, plain and asynchronous, and as a context manager, likewise.

    What the kernel delivers comes out once and in its order, as `signal.Signals`; real-time signals without a name there as
    numbers. Any number of streams may be there at once, in whatever threads; a signal is in one of them at most. Neither
    `signal.set_wakeup_fd` nor a handler of `signal.signal` for another signal is touched.

    The handler is C's: `signal.getsignal` goes on to say what the signal does again when the stream is closed. `signal.signal`
    for a signal that is in a stream takes it away from that.

    A stream may be made before `DaemonContext.open` or after it; that it has a signal goes before `DaemonContext.signal_map`.
    In other children of a fork it is closed. It is not waited for in two threads, or tasks, with profit: each signal comes to
    one of them.

    :param numbers: the signals, at least one, by number or name.
    :raises OptionError: one is no signal, or cannot be caught.
    :raises UsageError: one is in another stream that is not closed.
    """

    def __init__(self, *numbers):
        numbers = [_checked(number) for number in numbers]
        if not numbers:
            from ._options import unexpected

            raise unexpected("signals()", (), "at least one signal")
        self._covers_interrupt = signal.SIGINT in numbers and _cover_interrupt()
        try:
            self._queue = _native.SignalQueue(numbers)
        except OSError as error:
            self._uncover_interrupt()
            raise _translated(error) from None
        self._numbers = tuple(map(_named, numbers))

    def __repr__(self):
        state = "closed" if self.closed else f"fd={self._queue.fileno()}"
        return f"<{type(self).__name__} {', '.join(getattr(n, 'name', str(n)) for n in self._numbers)} {state}>"

    @property
    def closed(self):
        """Whether it has been closed, by `close` or by being in a forked child."""
        return self._queue.fileno() < 0

    def fileno(self):
        """A descriptor that is readable when `take` has something, for select(2) and its like.

        :raises ValueError: it is closed.
        """
        fd = self._queue.fileno()
        if fd < 0:
            raise ValueError("the stream of signals is closed")
        return fd

    def take(self):
        """The next signal, at once; None when there is none now."""
        number = self._queue.take()
        return None if number is None else _named(number)

    def close(self):
        """Have the signals do again what they did before, and end whatever iterates, in other threads too.

        What has come and not been taken is forgotten. A signal for which something else has been set meanwhile stays as it is.
        """
        self._queue.close()
        self._uncover_interrupt()

    def _uncover_interrupt(self):
        if self._covers_interrupt:
            self._covers_interrupt = False
            _uncover_interrupt()

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.close()

    async def __aenter__(self):
        return self

    async def __aexit__(self, exc_type, exc_value, exc_tb):
        self.close()

    def __iter__(self):
        return self

    def __next__(self):
        while not self.closed:
            number = self.take()
            if number is not None:
                return number
            self._wait()
        raise StopIteration

    def __aiter__(self):
        return self

    async def __anext__(self):
        while not self.closed:
            number = self.take()
            if number is not None:
                return number
            await self._wait_async()
        raise StopAsyncIteration

    # Both wait with a descriptor of their own. A stream that is closed meanwhile, by whatever thread, ends the pipe, and that
    # wakes them; its own number may be another file's then.

    def _wait(self):
        fd = os.dup(self._queue.fileno())
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll()
        finally:
            os.close(fd)

    async def _wait_async(self):
        import asyncio

        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        fd = os.dup(self._queue.fileno())
        try:
            loop.add_reader(fd, _resolve, readable)
            try:
                await readable
            finally:
                loop.remove_reader(fd)
        finally:
            os.close(fd)


def set_handler(signum, handler):
    """Like `signal.signal`, for a signal that a stream has: the stream keeps it, and the handler is for afterwards."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signum])
    try:
        signal.signal(signum, handler)
        _native.queue_again(signum)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _resolve(future):
    # The loop calls this until the reader is gone, which is a moment after the future has its result.
    if not future.done():
        future.set_result(None)


def _named(number):
    try:
        return signal.Signals(number)
    except ValueError:
        return number


def _checked(number):
    from ._options import signal_number, unexpected

    found = signal_number("signal", number)
    if found not in signal.valid_signals() or found in (signal.SIGKILL, signal.SIGSTOP):
        raise unexpected("signal", number, "a signal that can be caught")
    return found


def _translated(error):
    from errno import EBUSY

    from ._errors import UsageError

    return UsageError(str(error), error.errno, error.step, error.value) if error.errno == EBUSY else error


# `asyncio.run` and others put a handler of their own in the place of Python's for SIGINT, and in ours with it.


def _interrupt(signum, frame):
    """Handle SIGINT as Python does by itself."""
    signal.default_int_handler(signum, frame)


def _cover_interrupt():
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, _interrupt)
    except ValueError:  # Not the main thread.
        return False
    return True


def _uncover_interrupt():
    if signal.getsignal(signal.SIGINT) is _interrupt:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        except ValueError:  # Not the main thread; the difference cannot be told but by `getsignal`.
            pass
