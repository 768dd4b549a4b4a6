"""What the tests inherit is not what they are about: below nohup(1), and in a shell's background, signals are ignored."""

import signal

for number in signal.valid_signals():
    # SIGPIPE and SIGXFSZ the interpreter ignores itself, and lets its children have as they were.
    if signal.getsignal(number) == signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
