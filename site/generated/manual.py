"""The manual pages of man/, by mandoc."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any, NamedTuple

from . import REPOSITORY

MANDOC = os.environ.get("MANDOC", "mandoc")
FOLDER = "reference/man"
# What mandoc makes of .Xr; whether there is such a page is seen here.
REFERENCE = re.compile(r'<a class="Xr" href="([\w.+-]+)\.(\d)">(.*?)</a>')
HEADING = re.compile(r'<h2 class="Sh" id="([^"]+)"><a class="permalink" href="[^"]*">(.*?)</a></h2>', re.DOTALL)
# The page's title is the heading of the first level.
LEVELS = (("h2", "Ss", "h3"), ("h1", "Sh", "h2"))


class ManualPage(NamedTuple):
    stem: str
    section: str
    names: list[str]
    about: str
    text: str
    where: dict[tuple[str, str], str]

    @property
    def title(self) -> str:
        return f"{self.stem}({self.section})"

    @property
    def uri(self) -> str:
        return f"{FOLDER}/{self.stem}.{self.section}.md"

    def html(self) -> str:
        def link(match: re.Match[str]) -> str:
            page = self.where.get((match[1], match[2]))
            return f'<a class="Xr" href="{page}.html">{match[3]}</a>' if page else f'<span class="Xr">{match[3]}</span>'

        return f'<div class="manual">{REFERENCE.sub(link, self.text)}</div>'

    def toc(self) -> list[dict[str, Any]]:
        top: dict[str, Any] = {"level": 1, "id": "", "name": self.title, "children": []}
        for anchor, name in HEADING.findall(self.text):
            plain = re.sub(r"<[^>]*>", "", name).capitalize()
            top["children"].append({"level": 2, "id": anchor, "name": plain, "children": []})
        return [top]


def named(source: str) -> tuple[list[str], str]:
    """The names of a page and what it is about, from its section NAME: mdoc(7), or man(7) as the command's page is."""
    section = re.split(r"^\.S[hH] ", source.split("NAME\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    if names := re.findall(r"^\.Nm (\S+)", section, re.MULTILINE):
        return names, re.findall(r"^\.Nd (.*)", section, re.MULTILINE)[0]
    left, _, about = " ".join(section.split()).partition(" \\- ")
    return left.split(", "), about


class Manual:
    def __init__(self) -> None:
        where: dict[tuple[str, str], str] = {}
        self.pages: list[ManualPage] = []
        for path in sorted((REPOSITORY / "man").glob("*.[1-9]"), key=lambda path: (path.suffix, path.stem)):
            source = path.read_text()
            names, about = named(source)
            section = path.suffix[1:]
            where.update({(name, section): path.name for name in names})
            said = subprocess.run([MANDOC, "-Thtml", "-Ofragment,man=%N.%S", path], check=True, capture_output=True, text=True)
            html = said.stdout
            for level, kind, lower in LEVELS:
                html = re.sub(rf'<{level} (class="{kind}"[^>]*>.*?)</{level}>', rf"<{lower} \1</{lower}>", html, flags=re.DOTALL)
            # The line above and the one below are for paper.
            text = re.sub(r'<table class="(?:head|foot)">.*?</table>|<div class="(?:head|foot)"[^>]*>.*?</div>', "", html,
                          flags=re.DOTALL)
            self.pages.append(ManualPage(path.stem, section, names, about, text, where))

    def by_uri(self, uri: str) -> ManualPage | None:
        return next((page for page in self.pages if page.uri == uri), None)

    def page_of(self, name: str) -> ManualPage | None:
        return next((page for page in self.pages if name in page.names), None)

    def stubs(self) -> dict[str, str]:
        """What mkdocs is to see of each page, and one that lists them."""
        result = {page.uri: f"---\nsearch:\n  boost: 0.5\n---\n\n# {page.title}\n" for page in self.pages}
        rows = [f"| [{page.title}]({page.stem}.{page.section}.md) | {page.about} | `{'`, `'.join(page.names)}` |"
                for page in self.pages]
        result[f"{FOLDER}/index.md"] = "\n".join([
            "# Manual pages", "", "As `make install` puts them into a system, made into HTML by mandoc.", "",
            "| page | | explains |", "|---|---|---|", *rows, ""])
        return result
