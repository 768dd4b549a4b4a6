"""The Python interface: signatures from the stubs, words from the docstrings. Nothing is imported."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Iterator, Union

from . import REPOSITORY

PACKAGE = REPOSITORY / "bindings/python/python/daemonctx"
Definition = Union[ast.FunctionDef, ast.AsyncFunctionDef]
GROUPS = {
    "The daemon": ["DaemonContext", "LogFile", "Syslog"],
    "The pid file": ["PidFile"],
    "In the daemon": ["signals", "SignalStream", "ReopeningFileHandler", "Watchdog"],
    "Service managers": ["notify", "notify_reloading", "notify_barrier", "watchdog_interval", "listen_descriptors",
                         "listen_sockets"],
    "What can be raised": ["DaemonError", "UsageError", "OptionError", "StartError", "PrivilegeError", "PidFileError",
                           "AlreadyRunningError", "DaemonWarning"],
}


def module(name: str, suffix: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{name}{suffix}").read_text())


def public() -> list[str]:
    """The names of the package, as it says itself."""
    for node in module("__init__", ".pyi").body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            return [str(name) for name in ast.literal_eval(node.value) if name != "__version__"]
    raise SystemExit("no __all__ in the stub")


def definitions(suffix: str) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for path in sorted(PACKAGE.glob(f"_[a-z]*{suffix}")):
        if path.stem != "_native":
            found.update(named(module(path.stem, suffix).body))
    return found


def named(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    return {node.name: node for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))}


def words(node: ast.stmt | None) -> str:
    """A docstring as Markdown: fields become a list; all else is Markdown nearly already."""
    text = ast.get_docstring(node) if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) else None
    out: list[str] = []
    for line in inspect.cleandoc(text or "").splitlines():
        line = re.sub(r"``(.+?)``", r"`\1`", line)
        if field := re.match(r":(param|raises) (\w+): ?(.*)", line):
            out += ["", f"* **`{field[2]}`**: {field[3]}"]
        elif field := re.match(r":returns: ?(.*)", line):
            out += ["", f"* returns {field[1]}"]
        else:
            out.append(line)
    # A list is begun by an empty line; between its items there is none.
    return re.sub(r"(\n\* .*(?:\n {4}.*)*)\n(?=\n\* )", r"\1", "\n".join(out)).strip()


def signature(node: Definition, owner: str = "") -> str:
    prefix = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    arguments = node.args
    if owner:
        arguments = ast.parse(f"def f({ast.unparse(arguments)}): ...").body[0].args  # type: ignore[attr-defined]
        (arguments.posonlyargs or arguments.args).pop(0)
    name = owner if node.name == "__init__" else node.name
    each = [part.replace("=", " = ", 1) if ":" in part else part for part in split(ast.unparse(arguments))]
    shown = ", ".join(each)
    result = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    if len(shown) > 80:
        shown = "\n    " + ",\n    ".join(each) + ",\n"
    return f"{name}({shown})" if node.name == "__init__" else f"{prefix} {name}({shown}){result}"


def split(arguments: str) -> Iterator[str]:
    """At commas that are in no bracket."""
    depth, part = 0, ""
    for letter in arguments:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and not depth:
            yield part.strip()
            part = ""
        else:
            part += letter
    yield part.strip()


def code(text: str) -> list[str]:
    return ["", "```python", text, "```", ""]


def class_page(name: str, stub: ast.ClassDef, source: ast.stmt | None) -> Iterator[str]:
    bases = ", ".join(ast.unparse(base) for base in stub.bases)
    yield from (f"### `{name}`", "")
    members, explained = named(stub.body), named(source.body) if isinstance(source, ast.ClassDef) else {}
    constructor = members.get("__init__")
    if bases:
        yield from (f"A kind of {', '.join(f'`{base.strip()}`' for base in bases.split(','))}.", "")
    if isinstance(constructor, ast.FunctionDef) and "Error" not in name:
        yield from code(signature(constructor, name))
    yield from (words(source), "")
    for member, node in members.items():
        if member.startswith("_") or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        if any(decorator.endswith(".setter") for decorator in decorators):
            continue
        yield from (f"#### `{name}.{member}`", "")
        if "property" in decorators:
            yield from code(f"{member}: {ast.unparse(node.returns) if node.returns else 'object'}")
        else:
            yield from code(signature(node, name))
        yield from (words(explained.get(member)), "")
    yield from attributes(stub, source)


def attributes(stub: ast.ClassDef, source: ast.stmt | None) -> Iterator[str]:
    """Those that have words of their own below them."""
    if not isinstance(source, ast.ClassDef):
        return
    types = {node.target.id: ast.unparse(node.annotation) for node in stub.body
             if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    bodies = [source.body, *(node.body for node in source.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")]
    rows = []
    for body in bodies:
        for node, below in zip(body, body[1:]):
            if isinstance(node, ast.Assign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                name = ast.unparse(node.targets[0]).removeprefix("self.")
                text = " ".join(str(below.value.value).split()).replace("``", "`")
                rows.append(f"* **`{name}`**: `{types.get(name, 'object')}`. {text}")
    if rows:
        yield from ("Attributes:", "", *rows, "")


def page() -> str:
    stubs, sources = definitions(".pyi"), definitions(".py")
    listed = [name for names in GROUPS.values() for name in names]
    if sorted(listed) != sorted(public()):
        raise SystemExit(f"site/generated/python.py: groups and __all__ differ in {set(listed) ^ set(public())}")
    out = ["# Python", "", words_of_package(), "", "[Daemons in Python](../python.md) is the guide with programs.", ""]
    for group, names in GROUPS.items():
        out += [f"## {group}", ""]
        for name in names:
            stub = stubs[name]
            if isinstance(stub, ast.ClassDef):
                out += class_page(name, stub, sources.get(name))
            elif isinstance(stub, (ast.FunctionDef, ast.AsyncFunctionDef)):
                out += [f"### `{name}`", *code(signature(stub)), words(sources.get(name)), ""]
    out += ["## Stand-ins", "", words_of(module("__init__", ".py"), PACKAGE / "compat/__init__.py"), ""]
    for name, node in named(ast.parse((PACKAGE / "compat/__init__.pyi").read_text()).body).items():
        if name == "install" and isinstance(node, ast.FunctionDef):
            source = named(ast.parse((PACKAGE / "compat/__init__.py").read_text()).body)[name]
            out += ["### `compat.install`", *code(signature(node)), words(source), ""]
    return "\n".join([*out, *aliases()])


def aliases() -> Iterator[str]:
    """What the signatures call types that have no public name."""
    yield from ("## Types in signatures", "", "| | |", "|---|---|")
    for node in module("_context", ".pyi").body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            yield f"| `{ast.unparse(node.target)}` | `{ast.unparse(node.value)}` |"
    yield from ("", "`_HasFileno` has `fileno()`; `_Acquirable` has `acquire()` and `release()`; `_Enterable` is a context",
                "manager.", "")


def words_of(default: ast.Module, path: object) -> str:
    text = ast.get_docstring(ast.parse(path.read_text())) if hasattr(path, "read_text") else ast.get_docstring(default)
    return re.sub(r"``(.+?)``", r"`\1`", text or "").replace("::\n", ":\n")


def words_of_package() -> str:
    return re.sub(r"``(.+?)``", r"`\1`", ast.get_docstring(module("__init__", ".py")) or "")
