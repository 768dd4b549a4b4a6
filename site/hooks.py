"""mkdocs calls these: pages that are made from the sources, and links that lead out of docs/."""

from __future__ import annotations

import pathlib
import re
import sys
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import get_toc

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from generated import command, headers, manual, python, rust, tree  # noqa: E402

REFERENCE: dict[str, str] = {}
PICTURE = re.compile(r'<img [^>]*src="([^"]+\.svg)"[^>]*>')
MANUAL = manual.Manual()


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """All that is generated has its place in the navigation."""
    REFERENCE.clear()
    nav: list[Any] = [{"C, daemonctx.h": "reference/daemonctx.h.md"}, {"C, libdaemon/*.h": "reference/libdaemon.h.md"}]
    REFERENCE["reference/daemonctx.h.md"] = headers.daemonctx_page()
    REFERENCE["reference/libdaemon.h.md"] = headers.libdaemon_page()
    REFERENCE["reference/python.md"] = python.page()
    REFERENCE["reference/command.md"] = command.page()
    REFERENCE["reference/rust.md"] = rust.page()
    nav += [{"Python": "reference/python.md"}, {"Rust": "reference/rust.md"}, {"The command": "reference/command.md"}]
    REFERENCE.update(MANUAL.stubs())
    nav.append({"Manual pages": ["reference/man/index.md", *({page.title: page.uri} for page in MANUAL.pages)]})
    taken = tree.linked()
    REFERENCE.update({uri: tree.page(path) for path, uri in taken.items()})
    nav.append({"In the sources": [{path: uri} for path, uri in sorted(taken.items())]})
    for section in config.nav or []:
        if isinstance(section, dict) and "Reference" in section:
            section["Reference"] = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for uri, text in REFERENCE.items():
        files.append(File.generated(config, uri, content=text))
    for uri, path in rust.files():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    files.append(File.generated(config, "assets/site.css", abs_src_path=str(HERE / "site.css")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return tree.relinked(markdown, page.file.src_uri)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Manual pages are HTML from the beginning. A picture leads to itself: alone on a small screen it can be made larger."""
    html = PICTURE.sub(r'<a href="\1">\g<0></a>', html)
    found = MANUAL.by_uri(page.file.src_uri)
    if found is None:
        return html
    page.toc = get_toc(found.toc())  # type: ignore[arg-type]  # a class that is private there
    return html + found.html()
