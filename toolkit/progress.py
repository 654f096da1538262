"""Progress bars on stderr: what is being done, how far it is, the time left.

Proved by tests/test_progress.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

Item = TypeVar("Item")


class Progress:
    """Bars that appear as work is reported, one for each kind of work."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        note = TextColumn("{task.fields[note]}")
        self._bars = Bars(*columns, note, console=console, transient=True, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def count(self, what: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` are done."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, note=note)
        self._bars.update(self._tasks[what], completed=done, note=note)

    def step(self, phase: str, step: int, steps: int, loss: float) -> None:
        """Show a training step and its loss."""
        self.count(phase, step, steps, f"loss {loss:.4f}")

    def each(self, what: str, items: Sequence[Item]) -> Iterator[Item]:
        """Pass items on and count them."""
        for number, item in enumerate(items, start=1):
            yield item
            self.count(what, number, len(items))
