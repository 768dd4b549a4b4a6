"""Runs random programs with an original and with its stand-in, and compares what becomes of them.

    python -m differential --library python_daemon --seed 1 --programs 1000

`programs` makes a program from a seed, `program` is what runs it, `observe` looks at it from outside, `allowed` lists the differences that
the documentation has, and `compare` finds all others.
"""
