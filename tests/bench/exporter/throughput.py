"""Events per CPU second: the bare loop, this exporter and the published one, on the same stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.bench.exporter.bench import UNLIMITED, Bench, Row

NAME = "throughput"
HOW = (
    "Events published without a pause by a program of its own to a Redis without an output limit for subscribers; "
    "CPU seconds (user + kernel) of the reader and its children from before the first event until it rests; "
    "events as the reader itself counted them. Two streams: with task-sent, one message each, as producers send it; "
    "and workers' batches of 24 alone. Best of the rounds for each reader, rounds interleaved."
)
TASK_EVENTS = ("task-sent", "task-received", "task-started", "task-succeeded")
STREAMS = {"with task-sent": (), "batches only": ("--no-sent",)}


def run(bench: Bench) -> Iterator[Row]:
    """Yields a row for each stream and reader, and the two ratios."""
    for stream, options in STREAMS.items():
        best: dict[str, float] = {}
        for turn in range(bench.some(3, 1)):
            for name in bench.readers():
                slow = name == "upstream"
                if slow and turn:
                    continue  # a minute of it is enough
                events = bench.some(120_000 if slow else 800_000, 12_800 if slow else 64_000)
                speed = _measure(bench, name, events, options)
                bench.say(f"{NAME}, {stream}, {name}: {speed:,.0f} events per CPU second")
                best[name] = max(speed, best.get(name, 0))
        for name, speed in best.items():
            yield Row(NAME, name, f"events per CPU second, {stream}", f"{speed:,.0f}")
        # A second of work is too short a span to judge.
        yield from (replace(row, met=None) if bench.quick else row for row in _ratios(stream, best))


def _measure(bench: Bench, name: str, events: int, options: tuple[str, ...]) -> float:
    with bench.redis(**UNLIMITED) as broker, bench.start(name, broker) as reader:
        before = reader.until_quiet(60)
        published = bench.publish(broker, events, 300, *options)
        expected = sum(published[kind] for kind in TASK_EVENTS if kind in published)
        reader.until_quiet(300)
        reader.until_counted(expected, 300)
        spent = reader.cpu_seconds() - before
        counted = sum(reader.counted().values())
    if counted != expected:
        bench.say(f"{NAME}: {name} counted {counted:,.0f} of {expected:,} events")
    return counted / spent


def _ratios(stream: str, best: dict[str, float]) -> Iterator[Row]:
    mine = best.get("ours")
    if mine and "upstream" in best:
        ratio = mine / best["upstream"]
        yield Row(NAME, "ours", f"times upstream, {stream}", f"{ratio:.1f}", "at least 15", ratio >= 15)
    if mine and "bare loop" in best:
        share = mine / best["bare loop"]
        yield Row(NAME, "ours", f"share of the bare loop, {stream}", f"{share:.0%}", "at least 60%", share >= 0.6)
