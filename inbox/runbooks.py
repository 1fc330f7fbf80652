"""The runbooks that alerts link to, served beside the alerts: an alert read on a phone is one touch from what to do."""

from __future__ import annotations

import html
import re
from pathlib import Path

#: Where they are in a checkout, and where compose.yaml mounts them.
FOLDER = Path(__file__).resolve().parents[1] / "docs" / "runbooks"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{name}</title>
  <link rel="icon" href="/page/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/page/inbox.css">
</head>
<body>
  <header><div class="bar"><h1>{name}</h1><a href="/">Alert inbox</a></div></header>
  <main><article class="runbook">{text}</article></main>
</body>
</html>
"""


def names(folder: Path = FOLDER) -> list[str]:
    """The names of all runbooks, in order; none where the folder is not there."""
    return sorted(file.stem for file in folder.glob("*.md"))


def source(name: str, folder: Path = FOLDER) -> str | None:
    """The Markdown of a runbook, or None where there is none of that name."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return (folder / f"{name}.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def page(name: str, text: str) -> str:
    """A page with the runbook as it is written, every character of it as text."""
    return _PAGE.format(name=html.escape(name), text=html.escape(text))


def index(folder: Path = FOLDER) -> str:
    """A page that lists all runbooks."""
    links = "".join(f'<li><a href="/runbooks/{name}">{name}</a></li>' for name in names(folder))
    return _PAGE.format(name="Runbooks", text=f"<ul>{links}</ul>" if links else "There are no runbooks here.")
