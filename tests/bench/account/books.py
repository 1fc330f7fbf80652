"""What became of each order, from the result backend and from what the workers wrote."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from harness.stack import Stack
from tests.bench.account.publisher import Publisher

DECLINED = "CardDeclined"
_RAN = re.compile(r"Task ([\w.]+)\[([0-9a-f-]{36})\] succeeded")


@dataclass
class Balance:
    """The account. `twice` counts task runs beyond the first; `failures` are the exceptions of orders that failed."""

    published: int
    finished: int
    declined: int
    lost: int
    twice: int
    repeated: int
    failures: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """The account in words, one line each."""
        lines = [
            f"published  {self.published}  (the broker was asked again {self.repeated} times)",
            f"finished   {self.finished}",
            f"declined   {self.declined}  (by the sample's own card check)",
            f"run twice  {self.twice}  (tasks that were done again after a death, each without harm)",
            f"lost       {self.lost}",
        ]
        return "\n".join([*lines, *(f"           {count} ended in {name}" for name, count in self.failures.items())])


class Books:
    """Looks up orders; what has come to its end is not looked up again."""

    def __init__(self, stack: Stack, publisher: Publisher) -> None:
        self._stack, self._publisher = stack, publisher
        self._ends: dict[str, str] = {}

    def open(self) -> list[str]:
        """The orders that have come to no end yet."""
        for task_id in self._publisher.published:
            if task_id not in self._ends and (end := self._end_of(task_id)):
                self._ends[task_id] = end
        return [task_id for task_id in self._publisher.published if task_id not in self._ends]

    def _end_of(self, task_id: str) -> str:
        """finished, or the name of the exception in which a step ended; empty for an order that is under way."""
        accepted = self._publisher.app.AsyncResult(task_id)
        if accepted.state == "FAILURE":
            return type(accepted.result).__name__
        if accepted.state != "SUCCESS":
            return ""
        for step in accepted.result["steps"]:
            result = self._publisher.app.AsyncResult(step)
            if result.state == "FAILURE":
                return type(result.result).__name__
            if result.state != "SUCCESS":
                return ""
        return "finished"

    def balance(self) -> Balance:
        """The account as it stands."""
        left = self.open()
        ends = Counter(self._ends.values())
        failures = Counter({name: count for name, count in ends.items() if name not in ("finished", DECLINED)})
        return Balance(
            published=len(self._publisher.published),
            finished=ends["finished"],
            declined=ends[DECLINED],
            lost=len(left) + failures.total(),
            twice=sum(count - 1 for count in self._runs().values()),
            repeated=self._publisher.repeated,
            failures=failures,
        )

    def _runs(self) -> Counter[str]:
        written = "\n".join(self._stack.logs(service) for service in ("worker", "worker-emails"))
        return Counter(task_id for _, task_id in _RAN.findall(written))
