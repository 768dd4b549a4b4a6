"""Prints as JSON what programs can see of modules: names, what they are, parameters, defaults, attributes, exceptions.

    python interface.py NAME=MODULE...     the interface of each module, under a name

What is inherited is listed with what inherits it, so lockfile's interface is part of that of daemon.pidfile.
"""

import importlib
import inspect
import json
import sys


def parameters(function):
    """Names, in order, with how they may be given and what they are when they are not."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, default(p.default)] for p in signature.parameters.values()]


def default(value):
    if value is inspect.Parameter.empty:
        return "required"
    # Streams say where they lead to, and under which name they were opened.
    return type(value).__name__ if hasattr(value, "fileno") else repr(value)


def attribute(cls, name):
    value = inspect.getattr_static(cls, name)
    if isinstance(value, property):
        return {"kind": "property", "can be set": value.fset is not None}
    if callable(value):
        return {"kind": "method", "parameters": parameters(value)}
    return {"kind": "attribute", "value": repr(value)}


# With parameters that make an instance, to see which attributes it has.
PATH = ("/nonexistent/pid",)
EXAMPLES = {"DaemonContext": (), "PidFile": PATH, "PIDLockFile": PATH, "TimeoutPIDLockFile": PATH}


def example(name, value):
    if name in ("unique_name", "hostname", "pid"):  # Of the process.
        return type(value).__name__
    # A signal's number is equal to its enumeration's member.
    return {str(int(key)): repr(item) for key, item in value.items()} if isinstance(value, dict) else repr(value)


def describe(value):
    if inspect.ismodule(value):
        return {"kind": "module"}
    if inspect.isclass(value):
        if issubclass(value, BaseException):
            return {"kind": "exception", "is a": sorted(cls.__name__ for cls in value.__mro__ if cls is not value)}
        names = [name for name in dir(value) if not name.startswith("_") or name in ("__init__", "__enter__", "__exit__")]
        found = {"kind": "class", "attributes": {name: attribute(value, name) for name in names}}
        if value.__name__ in EXAMPLES:
            instance = value(*EXAMPLES[value.__name__])
            names = [name for name in dir(instance) if not name.startswith("_") and not callable(getattr(instance, name))]
            found["instance"] = {name: example(name, getattr(instance, name)) for name in names}
        return found
    if callable(value):
        return {"kind": "function", "parameters": parameters(value)}
    return {"kind": "value", "value": repr(value)}


def main(*wanted):
    found = {}
    for item in wanted:
        name, _, real = item.partition("=")
        module = importlib.import_module(real or name)
        # Not the modules that it needs itself.
        items = [(key, value) for key, value in vars(module).items() if not key.startswith("_")]
        own = [item for item in items if not inspect.ismodule(item[1]) or item[1].__name__.startswith(module.__name__)]
        found[name] = {key: describe(value) for key, value in own}
    json.dump(found, sys.stdout)


main(*sys.argv[1:])
