"""The pytest plugin: fixtures and assertions over a running stack, or over somebody's own Prometheus.

    def test_backlog_is_noticed(assert_alert_fires):
        assert_alert_fires("LongTaskQueue", {"queue": "emails"}, within=120)

With `--prometheus-url` (and `--alertmanager-url`, `--inbox-url`) the assertions ask the servers at these addresses;
without, the fixture `stack` starts a stack of its own for the session, on the test clock and in the way that
`--way` names. When a test that uses it fails, the evidence is kept as files before anything is taken down.
See docs/testing-your-own-alerts.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.clients import Alert, Alertmanager, Inbox, Notification, Prometheus
    from harness.probe import Probe
    from harness.stack import Stack

_ADDRESSES = ("prometheus", "alertmanager", "inbox")
_STACK = pytest.StashKey["Stack"]()
_PROBE = pytest.StashKey["Probe"]()
_RUN = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("celery stack", "the Celery observability stack")
    group.addoption(
        "--way",
        default="",
        choices=["", "native", "stand-ins", "images", "compose"],
        help="how the fixture `stack` runs: native (plain processes), stand-ins, images or compose (containers); "
        "left out, what this machine can do",
    )
    group.addoption("--clock", type=int, default=15, help="what every duration is divided by (15)")
    for name in _ADDRESSES:
        group.addoption(f"--{name}-url", default="", help=f"the address of your own {name} instead of the stack's")


@pytest.fixture(scope="session")
def stack_options() -> dict[str, Any]:
    """Override this to start the stack otherwise: arguments of `Stack.for_tests` besides the way."""
    return {}


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, stack_options: dict[str, Any]) -> Iterator[Stack]:
    """A stack of this session's own, started on first use, ended with everything it made at the end."""
    from harness.remains import insist_on_nothing_left  # noqa: PLC0415 - most sessions start no stack
    from harness.stack import Stack  # noqa: PLC0415

    config = request.config
    speaker = _Speaker(config)
    options = {"factor": config.getoption("--clock"), "say": speaker, **stack_options}
    running = Stack.for_tests(config.getoption("--way"), **options)
    config.stash[_STACK] = running
    try:
        try:
            running.start()
            speaker.silent = True
        except BaseException:
            _keep(config, "start")
            raise
        yield running
    finally:
        del config.stash[_STACK]
        _end(running)
    insist_on_nothing_left(running)


def _end(running: Stack) -> None:
    """Heal what can be healed, so that nothing is paused, and take everything down."""
    from harness import faults  # noqa: PLC0415

    try:
        faults.heal(running)
    finally:
        for worker in running.workers():
            worker.remove()
        running.down(volumes=True)


@pytest.fixture(scope="session")
def prometheus(request: pytest.FixtureRequest) -> Prometheus:
    """Prometheus: yours, or the stack's."""
    from harness.clients import Prometheus  # noqa: PLC0415

    return Prometheus(_address(request, "prometheus"))


@pytest.fixture(scope="session")
def alertmanager(request: pytest.FixtureRequest) -> Alertmanager:
    """Alertmanager: yours, or the stack's."""
    from harness.clients import Alertmanager  # noqa: PLC0415

    return Alertmanager(_address(request, "alertmanager"))


@pytest.fixture(scope="session")
def inbox(request: pytest.FixtureRequest) -> Inbox:
    """The alert inbox: the one at `--inbox-url`, or the stack's."""
    from harness.clients import Inbox  # noqa: PLC0415

    return Inbox(_address(request, "inbox"))


@pytest.fixture(scope="session")
def probe(request: pytest.FixtureRequest, prometheus: Prometheus) -> Probe:
    """All questions about alerts in one object; the fixtures `assert_...` are its methods."""
    from harness.probe import Probe  # noqa: PLC0415

    # With a Prometheus of one's own, the other two are there only where their addresses were given.
    def optional(name: str) -> Any:
        own = request.config.getoption("--prometheus-url")
        return None if own and not request.config.getoption(f"--{name}-url") else request.getfixturevalue(name)

    request.config.stash[_PROBE] = Probe(prometheus, optional("alertmanager"), optional("inbox"))
    return request.config.stash[_PROBE]


@pytest.fixture
def assert_alert_fires(probe: Probe) -> Callable[..., Alert]:
    """`assert_alert_fires(name, labels, within)`: it fires in time; returns the alert."""
    return probe.fires


@pytest.fixture
def assert_alert_silent(probe: Probe) -> Callable[..., None]:
    """`assert_alert_silent(name, labels, seconds)`: it does not fire for so long."""
    return probe.silent


@pytest.fixture
def assert_delivered(probe: Probe) -> Callable[..., Notification]:
    """`assert_delivered(name, labels, within)`: a notification of it reaches the inbox; returns the notification."""
    return probe.delivered


@pytest.fixture
def assert_resolves(probe: Probe) -> Callable[..., Notification | None]:
    """`assert_resolves(name, labels, within)`: it stops firing, and the inbox is told."""
    return probe.resolves


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the evidence of a failed test while what it is about still runs."""
    report = yield
    if report.failed and _STACK in item.config.stash and "stack" in getattr(item, "fixturenames", ()):
        folder = _keep(item.config, f"{item.name}-{report.when}")
        report.sections.append(("evidence", str(folder)))
    return report


def _keep(config: pytest.Config, name: str) -> Path:
    from harness import evidence  # noqa: PLC0415
    from harness.concerned import series_of  # noqa: PLC0415
    from harness.paths import EVIDENCE  # noqa: PLC0415

    run = config.stash.setdefault(_RUN, time.strftime("%Y%m%d-%H%M%S"))
    folder = EVIDENCE / run / evidence.file_name(name)
    series: list[str] = ["up"]
    probe = config.stash.get(_PROBE, None)
    if probe is not None:
        try:
            series += series_of(probe.prometheus, sorted(probe.asked))
        except Exception as error:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "series.missing").write_text(f"{type(error).__name__}: {error}\n", encoding="utf-8")
    return evidence.keep(config.stash[_STACK], folder, series)


def _address(request: pytest.FixtureRequest, name: str) -> str:
    own: str = request.config.getoption(f"--{name}-url")
    if own:
        return own
    running: Stack = request.getfixturevalue("stack")
    return running.address(name)


class _Speaker:
    """Says how the start goes, where pytest's own output goes; later starts and stops are part of a test."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter = config.pluginmanager.get_plugin("terminalreporter")
        self._capture = config.pluginmanager.get_plugin("capturemanager")
        self.silent = False

    def __call__(self, line: str) -> None:
        if self._reporter is not None and self._capture is not None and not self.silent:
            with self._capture.global_and_fixture_disabled():
                self._reporter.write_line(line)
