"""Runs python-daemon's own tests of `daemon` and `daemon.pidfile` on the stand-in, and prints what became of each as JSON.

    python python_daemon_suite.py SDIST

In a process of its own: the suite replaces functions of `os` and takes over `sys.modules`.
"""

import json
import sys
import unittest

import daemonctx.compat


class Recorder(unittest.TestResult):
    """Remembers the outcome of every test. Those with scenarios have an identity for each: what is in brackets goes along."""

    def __init__(self):
        super().__init__()
        self.outcomes = {}

    def startTest(self, test):
        super().startTest(test)
        self.outcomes[test.id()] = None

    def stopTest(self, test):
        super().stopTest(test)
        if self.outcomes[test.id()] is None:
            self.outcomes[test.id()] = "no outcome"

    def addSuccess(self, test, details=None):
        self.outcomes[test.id()] = "passed"

    def _bad(self, test, err=None, details=None):
        reason = str(err[1]) if err else "".join(content.as_text() for content in (details or {}).values())
        # The interpreter may say an import failed in a test that was never started.
        self.outcomes[test.id()] = reason or "failed"

    addFailure = addError = addUnexpectedSuccess = _bad

    def addSkip(self, test, reason=None, details=None):
        self.outcomes[test.id()] = f"skipped: {reason or details}"


def main(sdist):
    daemonctx.compat.install("daemon")
    sys.path.insert(0, sdist)
    recorder = Recorder()
    unittest.defaultTestLoader.loadTestsFromNames(["test.test_daemon", "test.test_pidfile"]).run(recorder)
    json.dump(recorder.outcomes, sys.stdout)


main(*sys.argv[1:])
