"""Runs pyzenkit's own tests of `pyzenkit.daemonizer` on the stand-in, and prints what became of each as JSON.

    python pyzenkit_suite.py SDIST

In a process of its own: the tests turn theirs into a daemon. Whether the rest of pyzenkit is there is a matter of the path.
"""

import importlib.util
import json
import sys
import unittest

import daemonctx.compat


class Recorder(unittest.TestResult):
    """Remembers the outcome of every test."""

    def __init__(self):
        super().__init__()
        self.outcomes = {}

    def addSuccess(self, test):
        self.outcomes[test.id().rpartition(".")[2]] = "passed"

    def _bad(self, test, err):
        self.outcomes[test.id().rpartition(".")[2]] = str(err[1])

    addFailure = addError = _bad


def main(sdist):
    daemonctx.compat.install("pyzenkit.daemonizer")
    spec = importlib.util.spec_from_file_location("test_daemonizer", f"{sdist}/pyzenkit/tests/test_daemonizer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.pyzenkit.daemonizer.daemonize.__module__ == "daemonctx.compat.pyzenkit.daemonizer"
    recorder = Recorder()
    unittest.defaultTestLoader.loadTestsFromModule(module).run(recorder)
    json.dump(recorder.outcomes, sys.stdout)


main(*sys.argv[1:])
