"""`Journal`: every line of an agent on disk before the next measurement starts, so that a stopped profile goes on.

    {"schema_version": 1, "question": "..."}      what is measured; another question is another journal
    {"kind": "start", ...}                        once for each time that the agent was started
    {"kind": "visit", "file": ...}                a line a visit
    {"kind": "peak", "file": ...}                 a line a peak of memory

A last line that was cut off is dropped: that measurement is taken again. A command's journals go when its work is done,
so that nobody goes on with last week's. Proved by tests/profile/test_journal.py.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Self

from toolkit.specs.cost import Environment
from toolkit.specs.errors import DeviceError, MismatchError, UserError
from toolkit.specs.record import Record
from toolkit.targets import Peak, Start, Visit, read_line

_NOT_MIXED = ("machine", "cpu", "runtime", "runtime_version", "threads", "core_mask")
"""Fields of an Environment; timings that differ in one are not of one table."""
_ANEW = "Leave --resume out to start anew."


@contextmanager
def journals(folder: Path, device: str, names: Collection[str], *, resume: bool) -> Iterator[None]:
    """The journals of one command, which no other that measures the device writes meanwhile.

    Unless it goes on with an interrupted command there are none at first; none are left when the block ends well.

    Raises:
        UserError: another command has them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{device}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another command measures {device} and writes to {folder}. Wait for its end, or name another --out."
            ) from None
        if not resume:
            _remove(folder, names)
        yield
        _remove(folder, names)


def _remove(folder: Path, names: Collection[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


class JournalHead(Record):
    """First line of a journal."""

    question: str
    """Device, target, pack and effort, in one line for people."""


class Journal:
    """Lines of agents, appended to one file.

    Args:
        path: of the file.
        lines: what stands in it already.
    """

    def __init__(self, path: Path, lines: list[Start | Visit | Peak]) -> None:
        self.path = path
        self.starts = [line for line in lines if isinstance(line, Start)]
        self.visits = [line for line in lines if isinstance(line, Visit)]
        self.peaks = {line.file: line.peak_bytes for line in lines if isinstance(line, Peak)}
        """Of processes that ran one file each, by file."""
        self._file: FileIO | None = None

    @classmethod
    def new(cls, path: Path, question: str) -> Self:
        """An empty journal; one that stands there is replaced."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(JournalHead(question=question).model_dump_json() + "\n", encoding="utf-8")
        return cls(path, [])

    @classmethod
    def resume(cls, path: Path, question: str) -> Self:
        """The journal of an interrupted profile, or an empty one.

        Raises:
            MismatchError: it answers another question.
            UserError: it is damaged before its last line.
        """
        if not path.is_file():
            return cls.new(path, question)
        whole, _, cut = path.read_bytes().rpartition(b"\n")
        if not whole:
            return cls.new(path, question)
        try:
            first, *rest = whole.decode().split("\n")
            found = JournalHead.from_text(first, origin=f"{path} line 1").question
            lines = [read_line(line, str(path), UserError) for line in rest]
        except UnicodeDecodeError as fault:
            raise UserError(f"{path} is damaged at byte {fault.start}. {_ANEW}") from None
        except UserError as fault:
            raise UserError(f"{fault} {_ANEW}") from None
        if found != question:
            raise MismatchError(f"{path} is of [{found}], not of [{question}]. {_ANEW}")
        if cut:
            with path.open("r+b") as file:
                file.truncate(len(whole) + 1)
        return cls(path, [line for line in lines if isinstance(line, Start | Visit | Peak)])

    @contextmanager
    def open(self) -> Iterator[None]:
        """While it is open, lines can be added; errors are those of `resumable`."""
        with self.path.open("ab", buffering=0) as self._file, self.resumable():
            yield

    @contextmanager
    def resumable(self) -> Iterator[None]:
        """What the device fails at in the block says how to go on, once there is something to go on with."""
        try:
            yield
        except DeviceError as error:
            if not self.count:
                raise
            kept = f"{self.count} measurements are kept: the same command goes on with --resume."
            raise type(error)(f"{error} {kept}") from error

    @property
    def count(self) -> int:
        """How many measurements it holds."""
        return len(self.visits) + len(self.peaks)

    def add(self, line: Start | Visit | Peak) -> None:
        """Put a line on disk.

        Raises:
            UserError: the disk is full; what stands there is kept.
            MismatchError: the agent was started in an environment that does not mix with the first one.
        """
        if self._file is None:
            raise ValueError("the journal is not open")
        if isinstance(line, Start) and self.starts:
            self._check_mixes(line.environment)
        try:
            rest = line.model_dump_json().encode() + b"\n"
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror}. {self.count} measurements are kept: "
                "make room and call the same command with --resume."
            ) from error
        if isinstance(line, Start):
            self.starts.append(line)
        elif isinstance(line, Visit):
            self.visits.append(line)
        else:
            self.peaks[line.file] = line.peak_bytes

    def counts(self) -> Counter[str]:
        """Visits of each file."""
        return Counter(visit.file for visit in self.visits)

    def environment(self) -> Environment:
        """Where all of it was measured: that of the last start."""
        return self.starts[-1].environment

    def _check_mixes(self, found: Environment) -> None:
        first = self.starts[0].environment
        for name in _NOT_MIXED:
            if (now := getattr(found, name)) != (was := getattr(first, name)):
                raise MismatchError(
                    f"{self.path} holds measurements of {name} {was}, found {now}: they do not mix. Nothing was "
                    f"added. Go on with {was}, or leave --resume out to start anew."
                )

    def base_bytes(self) -> int:
        """Least memory of an agent with its runtime loaded and no model."""
        return min(start.base_bytes for start in self.starts)
