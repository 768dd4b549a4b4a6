"""The pages are well-formed, complete, and say what the headers say."""

from __future__ import annotations

import re
import subprocess

import pytest
from pages import INCLUDE, MAN, MANDOC, OURS, Page, declarations, exported, functions_pages, headers, names, pages

ALL = pages()
SECTION_3 = functions_pages()
# What every page of section 3 has, in this order.
SECTIONS = ["NAME", "LIBRARY", "SYNOPSIS", "DESCRIPTION", "RETURN VALUES", "EXAMPLES", "ERRORS", "ATTRIBUTES", "SEE ALSO"]
# A word of the C library's attributes(7), with what may stand behind it.
THREADS = re.compile(r"MT-(Safe|Unsafe)( (race(:\w+)?|env|const:env))*")
HANDLERS = re.compile(r"AS-(Safe|Unsafe)( (heap|lock))*")


def test_lint() -> None:
    said = subprocess.run([MANDOC, "-Tlint", "-Wstyle", *(page.path for page in ALL)], capture_output=True, text=True, timeout=30)
    # Which other pages there are on this machine is no matter of ours; those of our own are looked for below.
    complaints = [line for line in said.stdout.splitlines() if "referenced manual not found" not in line]
    assert complaints == []


@pytest.mark.parametrize("page", ALL, ids=repr)
def test_can_be_read(page: Page) -> None:
    shown = subprocess.run([MANDOC, "-Tutf8", "-Owidth=100", page.path], capture_output=True, text=True, timeout=30)
    assert shown.returncode == 0 and len(shown.stdout) > 1000
    assert page.names()[0] == page.path.stem
    assert re.match(rf"{page.path.stem.upper()}\({page.section}\)", shown.stdout)


def test_every_function_has_a_page() -> None:
    assert exported() - names()["3"] == set()


def test_no_page_explains_what_is_not_there() -> None:
    types = {"daemonctx_pidfile"}
    assert names()["3"] - exported() == types
    enums = {"daemonctx_status", "daemonctx_kill_mode", "daemonctx_pidfile_state", "daemonctx_stop", "daemonctx_detach", "daemonctx_groups", "daemonctx_signal_action"}
    known = exported() | types | enums | {"daemonctx_set_", "daemon_log_flags", "daemon_pid_file_proc_t"}
    for page in ALL:
        assert set(OURS.findall(page.text())) - known == set(), page
        constants = set(re.findall(r"\bDAEMON(?:CTX)?_[A-Z0-9_]+\b", "\n".join(page.lines)))
        text = "".join((INCLUDE / header).read_text() for header in headers())
        assert {name for name in constants - {name.upper() for name in names()["3"]} if name not in text} == set(), page


def test_no_function_has_two_pages() -> None:
    listed = [name for page in SECTION_3 for name in page.names()]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("page", SECTION_3, ids=repr)
def test_synopsis_is_the_headers(page: Page) -> None:
    (header,) = page.headers()
    declared = declarations(header)
    shown = set(page.prototypes())
    assert shown - declared == set()
    # And of what the page explains, nothing is left out.
    explained = {statement for statement in declared if any(re.search(rf"\b{name}\b[(;]", statement) for name in page.names())}
    assert explained - shown == set()
    for line in page.defines():
        assert re.search(rf"^{line}$", (INCLUDE / header).read_text(), re.MULTILINE), line


def test_every_available_macro_is_shown() -> None:
    text = "\n".join((INCLUDE / header).read_text() for header in headers())
    defined = set(re.findall(r"^#define (\w+_AVAILABLE) 1", text, re.MULTILINE))
    shown = {name for page in SECTION_3 for line in page.defines() for name in re.findall(r"\w+_AVAILABLE", line)}
    assert shown == defined and len(defined) >= 7


def test_every_constant_is_explained() -> None:
    text = "\n".join(page.text() for page in ALL)
    for header in headers():
        defined = re.findall(r"^#define (DAEMONCTX_\w+) \d", (INCLUDE / header).read_text(), re.MULTILINE)
        assert [name for name in defined if name not in text] == []


@pytest.mark.parametrize("page", SECTION_3, ids=repr)
def test_has_all_sections(page: Page) -> None:
    titles = [line[4:] for line in page.lines if line.startswith(".Sh ")]
    assert [title for title in titles if title in SECTIONS] == SECTIONS
    assert all(page.part(title) for title in titles)


def test_steps_are_the_cores() -> None:
    """What daemonctx_open(3) says may fail is called as the starter's line calls it."""
    steps = set(re.findall(r'=> "([^"]+)", \w+;', (MAN.parent / "core/src/error.rs").read_text()))
    errors = " ".join(line for line in Page(MAN / "daemonctx_open.3").part("ERRORS") if "Sy " in line)
    shown = {step.strip(" .") for part in re.split(r"\.It Sy|\.Sy", errors) for step in part.split(",")} - {""}
    assert len(shown) > 20 and shown - steps == set()


@pytest.mark.parametrize("page", SECTION_3, ids=repr)
def test_attributes_of_each_function(page: Page) -> None:
    functions = {name for name in page.names() if any(f" {name}(" in line or f"*{name}(" in line for line in page.prototypes())}
    table = page.attributes()
    assert set(table) == functions != set()
    for name, (threads, handlers) in table.items():
        assert THREADS.fullmatch(threads) and HANDLERS.fullmatch(handlers), name


def test_handlers_may_call_what_the_headers_allow() -> None:
    """Async-signal-safe is what the interface of libdaemon says is; the other has two that only look."""
    safe = {name for page in SECTION_3 for name, (_, handlers) in page.attributes().items() if handlers == "AS-Safe"}
    said = {"daemon_nonblock", "daemon_reset_sigs", "daemon_reset_sigsv"}
    pure = {"daemon_ident_from_argv0", "daemonctx_error", "daemonctx_error_text", "daemonctx_exit_status",
            "daemonctx_pidfile_error", "daemonctx_pidfile_error_text", "daemonctx_version"}
    assert safe == said | pure


@pytest.mark.parametrize("page", ALL, ids=repr)
def test_references_lead_somewhere(page: Page) -> None:
    known = names()
    for name, section in page.references():
        if name.startswith("daemon") and name != "daemon":
            assert name in known[section], name
        # With itself among them, nobody needs it.
        assert (name, section) != (page.path.stem, page.section)


def test_links() -> None:
    """What `make install` makes of the section NAME."""
    said = subprocess.run([MAN / "names", "--links", *(page.path for page in ALL)], check=True, capture_output=True, text=True)
    links = {tuple(line.split()) for line in said.stdout.splitlines()}
    assert links == {(f"{name}.{page.section}", page.name) for page in ALL for name in page.names() if name != page.path.stem}
