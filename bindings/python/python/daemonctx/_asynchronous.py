"""What blocks, for coroutines."""


async def in_thread(call):
    """Run *call* in a thread that ends with it, and give what it gives.

    Saying that the daemon is ready may block: on the starter's terminal, stopped by Ctrl-S, which the text printed so far goes to;
    on a service manager whose queue is full. The pipe to the starter does not. A thread may do all of it: dup2(2) changes standard
    error in one step for all of them, and a buffered stream has a lock. It is none of the loop's executor, whose threads stay for
    good, and would be there when the daemon forks; and the process need not wait for it to end.

    A cancelled await leaves the thread alone, so *call* is never half done.
    """
    import asyncio
    import threading

    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def run():
        try:
            result, error = call(), None
        except BaseException as raised:
            result, error = None, raised
        try:
            loop.call_soon_threadsafe(_settle, done, result, error)
        except RuntimeError:
            pass  # The loop was closed: nobody waits any more.

    thread = threading.Thread(target=run, name="daemonctx ready", daemon=True)
    thread.start()
    try:
        return await done
    finally:
        # It has no more to do than to end: whoever forks next has no thread left to be warned of.
        if done.done() and not done.cancelled():
            thread.join()


def _settle(future, result, error):
    if future.done():  # Cancelled.
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
