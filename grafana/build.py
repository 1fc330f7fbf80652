"""`python -m grafana.build`: write the dashboards; `--check` writes nothing and says which are not up to date."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from grafana.boards import BOARDS
from grafana.render import dashboard_json

FOLDER = Path(__file__).with_name("dashboards")


def texts() -> dict[str, str]:
    """The text of every dashboard by the name of its file."""
    return {board.file: dashboard_json(board) for board in BOARDS}


def stale(folder: Path = FOLDER) -> list[str]:
    """The files that differ from what would be written, that are missing, or that no dashboard is behind."""
    wanted = texts()
    there = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 1 where --check found a difference, 2 for an unknown argument."""
    if [word for word in arguments if word != "--check"]:
        print(f"grafana.build: unknown argument {arguments[0]!r}: there is only --check", file=sys.stderr)
        return 2
    if arguments:
        for name in stale():
            print(f"grafana/dashboards/{name} is not up to date: run python -m grafana.build", file=sys.stderr)
        return 1 if stale() else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale():
        text = texts().get(name)
        if text is None:
            (FOLDER / name).unlink()
        else:
            (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{'removed' if text is None else 'wrote'} grafana/dashboards/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
