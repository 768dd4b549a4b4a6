"""Pages made from the sources: one module for each source."""

import pathlib

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def escaped(text: str) -> str:
    """Plain text as Markdown that shows just that."""
    for letter in "\\`*_<[|":
        text = text.replace(letter, {"<": "&lt;"}.get(letter, "\\" + letter))
    return text


def slug(name: str) -> str:
    return name.strip("()").lower().replace(" ", "-")
