"""Stand-ins for other daemonizers, each with the names, parameters and exceptions of the original.

Import one by its own name, or have programs find it under the original's::

    import daemonctx.compat

    daemonctx.compat.install("daemon")  # before anybody imports it

    import daemon  # daemonctx.compat.python_daemon

| original | here |
|---|---|
| python-daemon 3.1 (``daemon``) | `daemonctx.compat.python_daemon` |
| pep3143daemon 0.1 (``pep3143daemon``) | `daemonctx.compat.pep3143daemon` |
| daemoniker 0.2 (``daemoniker``) | `daemonctx.compat.daemoniker` |
| CherryPy 18.10 (``cherrypy.process.plugins``) | `daemonctx.compat.cherrypy` |
| pyzenkit 0.67 (``pyzenkit.daemonizer``, whether or not pyzenkit is installed) | `daemonctx.compat.pyzenkit.daemonizer` |
"""

__all__ = ["install"]

# The original's name, ours, and the modules below both.
_STAND_INS = {
    "daemon": ("python_daemon", ("daemon", "pidfile")),
    "pep3143daemon": ("pep3143daemon", ("daemon", "pidfile")),
    "daemoniker": (
        "daemoniker",
        (
            "exceptions",
            "utils",
            "_daemonize_common",
            "_daemonize_unix",
            "_privdrop_unix",
            "_signals_common",
            "_signals_unix",
            "_signals_windows",
        ),
    ),
    "cherrypy.process.plugins": ("cherrypy", ()),
    "pyzenkit": ("pyzenkit", ("daemonizer",)),
    "pyzenkit.daemonizer": ("pyzenkit.daemonizer", ()),
}


def install(name):
    """Have ``import name`` find the stand-in, in this process and from now on; returns the module.

    :param name: the original's name as it is imported: ``"daemon"``, ``"pyzenkit.daemonizer"``.
    :raises ValueError: there is no stand-in for that name.
    :raises ImportError: another module of that name has been imported already; whoever has imported it would keep it.
    """
    import sys

    if name not in _STAND_INS:
        raise ValueError(f"no stand-in for {name!r}; there are some for {', '.join(sorted(_STAND_INS))}")
    own, parts = _STAND_INS[name]
    _import(own)
    modules = {name: sys.modules[f"{__name__}.{own}"]}
    for part in parts:
        modules[f"{name}.{part}"] = sys.modules[f"{__name__}.{own}.{part}"]
    for known, module in modules.items():
        if sys.modules.get(known, module) is not module:
            raise ImportError(f"{known!r} has been imported already, from {sys.modules[known]!r}", name=known)
    if "." in own:  # CherryPy puts its plugins there itself, when it is imported; it must not be before it can find ours.
        _put_below_parent(name, own, modules[name])
    sys.modules.update(modules)
    return modules[name]


def _import(own):
    # Statements, which PyInstaller, cx_Freeze and Nuitka find; in a string they would not. Each imports all of its parts.
    if own == "python_daemon":
        from . import python_daemon  # noqa: F401
    elif own == "pep3143daemon":
        from . import pep3143daemon  # noqa: F401
    elif own == "daemoniker":
        from .daemoniker import _privdrop_unix, _signals_windows  # noqa: F401
    elif own == "cherrypy":
        from . import cherrypy  # noqa: F401
    else:
        from .pyzenkit import daemonizer  # noqa: F401


def _put_below_parent(name, own, module):
    """``import a.b`` finds b in a: in the original's package, or in ours where that is not installed."""
    import importlib
    import sys

    parent, _, child = name.rpartition(".")
    try:
        package = importlib.import_module(parent)
    except ModuleNotFoundError as error:
        if not f"{parent}.".startswith(f"{error.name}."):
            raise
        package = importlib.import_module(f"{__name__}.{own}".rpartition(".")[0])
        sys.modules[parent] = package
    setattr(package, child, module)
