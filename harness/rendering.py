"""The configuration that a run mounts: the folders as written, on the run's clock, without what does not run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness import clock, native_config, receivers
from harness.errors import HarnessError
from harness.secrets import RECEIVERS
from harness.way import Plan


def render(plan: Plan, factor: int, secrets: Path, rules: Mapping[str, str] | None = None) -> None:
    """Write the run's copies of prometheus/ and alertmanager/ to where the settings say that they are mounted.

    `rules` are further rule files by name, on the same clock; one with the name of a shipped file takes its place.
    Raises HarnessError where a file cannot be put on the clock.
    """
    prometheus, alertmanager = Path(plan.settings["PROMETHEUS_CONFIG"]), Path(plan.settings["ALERTMANAGER_CONFIG"])
    try:
        for source, target in ((plan.root / "prometheus", prometheus), (plan.root / "alertmanager", alertmanager)):
            if source.is_dir():
                clock.render(source, target, factor)
        for name, text in (rules or {}).items():
            (prometheus / "rules" / name).write_text(clock.rendered(text, factor, name), encoding="utf-8")
    except clock.ClockError as error:
        raise HarnessError(str(error)) from None
    main = prometheus / "prometheus.yml"
    if main.is_file() and set(plan.services) < set(plan.model.services):
        text = main.read_text(encoding="utf-8")
        main.write_text(native_config.without_absent(text, plan.services), encoding="utf-8")
    main = alertmanager / "alertmanager.yml"
    if main.is_file():
        text = main.read_text(encoding="utf-8")
        main.write_text(receivers.switched_on(text, secrets / RECEIVERS), encoding="utf-8")
    for folder in (prometheus, alertmanager):
        _open(folder)


def _open(folder: Path) -> None:
    """Let a container's process, which has another user id, read the folder, whatever the umask here is."""
    if folder.is_dir():
        folder.chmod(0o755)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
