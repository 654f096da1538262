"""What every target offers, and what passes between it and an agent: a plan there, JSON lines back.

A target is a place; an agent is a program that runs in it (`toolkit/targets/agents.py`). Neither knows the other.

    plan.txt                     lines of an agent
    threads 1                    {"kind": "start", "environment": {...}, "base_bytes": 31000000}
    cores 3                      {"kind": "visit", "file": "a.tflite", "warmups_us": [...], "latencies_us": [...], ...}
    warmups 2                    {"kind": "visit", "file": "b.tflite", ...}
    runs 10
    seconds 0.5
    every_ms 0
    seed 7
    time a.tflite
    time b.tflite

Proved by tests/targets/test_targets.py.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field, TypeAdapter, ValidationError

from toolkit.specs.cost import Environment
from toolkit.specs.errors import ToolkitError
from toolkit.specs.record import Part

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""Of a file in an agent's folder: no spaces and nothing that a shell would take for its own."""


class Play(Part):
    """Run a model on recorded samples, hop by hop, its state fed back: inputs 1, 2, ... are the last outputs.

    Zeros stand before the first hop; samples that do not fill a last hop are left out.
    """

    file: FileName
    samples: FileName
    """Raw float32, little-endian."""
    hop_samples: int = Field(ge=1)


class Plan(Part):
    """What an agent does, in this order: timed visits, one run for the peak of memory, recorded samples.

    A visit loads the file, warms up, and times it until it has `runs` timings, or `seconds` have passed and it has two.
    """

    time: tuple[FileName, ...] = ()
    """Files to visit; a file may stand there several times."""
    peak: FileName | None = None
    """File to load and run once; its peak tells something in a process of its own alone."""
    play: tuple[Play, ...] = ()
    warmups: int = Field(0, ge=0)
    runs: int = Field(1, ge=1)
    seconds: float = Field(1.0, gt=0)
    every_ms: float = Field(0, ge=0)
    """One inference each so many milliseconds, the core asleep between: listening. 0: one after the other."""
    threads: int = Field(1, ge=1)
    cores: tuple[int, ...] = ()
    """Cores to run on; the last `threads` ones that the process may use if none are named."""
    seed: int = 0

    def text(self) -> str:
        """The plan as agents read it."""
        lines = [
            f"{name} {getattr(self, name)}" for name in ("threads", "warmups", "runs", "seconds", "every_ms", "seed")
        ]
        lines += [f"cores {','.join(str(core) for core in self.cores)}"] if self.cores else []
        lines += [f"time {name}" for name in self.time]
        lines += [f"peak {self.peak}"] if self.peak else []
        lines += [f"play {each.file} {each.samples} {each.hop_samples}" for each in self.play]
        return "\n".join(lines) + "\n"


class Condition(Part):
    """What the device says of itself at one moment; None where it does not tell."""

    clock_mhz: float | None
    temperature_c: float | None
    throttled: str | None
    """A Raspberry Pi's throttle flags, as `0x50005`."""


class Start(Part):
    """The agent's first line: where it runs, and its peak of memory with the runtime loaded and no model."""

    kind: Literal["start"]
    environment: Environment
    base_bytes: int = Field(gt=0)


class Visit(Part):
    """Timings of one visit in microseconds."""

    kind: Literal["visit"]
    file: str
    warmups_us: tuple[float, ...]
    latencies_us: tuple[float, ...] = Field(min_length=1)
    before: Condition
    after: Condition


class Peak(Part):
    """Greatest resident memory of the process (VmHWM) after one run of a file."""

    kind: Literal["peak"]
    file: str
    peak_bytes: int = Field(gt=0)


class Played(Part):
    """The first output after each hop."""

    kind: Literal["played"]
    file: str
    scores: tuple[tuple[float, ...], ...] = Field(min_length=1)


Line = Annotated[Start | Visit | Peak | Played, Field(discriminator="kind")]


LEAVE = "leave.sh"


class Workplace(Protocol):
    """A new folder on the device; when it is left, whatever ran there has ended and nothing lies there any more.

    A shell script `leave.sh` among the files that were brought is run in the folder before that goes, however it comes
    to that: it ends and removes what an agent has elsewhere on the device.
    """

    @property
    def name(self) -> str:
        """The target's, for messages."""
        ...

    def bring(self, files: Mapping[str, Path]) -> None:
        """Copy files of this machine into the folder, under the given names, executable where they are here.

        Raises:
            TransientDeviceError: the connection was lost; another try may work.
            StableDeviceError: the device has no room for them, or a program is built for another architecture.
        """
        ...

    def run(self, command: Sequence[str]) -> Generator[str, None, None]:
        """Run a command in the folder and yield the lines of its stdout as they come; closing it ends the command.

        A first word `./name` is a program that was brought; the word `{python}` stands for the target's Python.

        Raises:
            TransientDeviceError: the connection was lost.
            StableDeviceError: it ended badly; the message has the last line of its stderr.
        """
        ...


class Target(Protocol):
    """A device and the way to it."""

    @property
    def name(self) -> str:
        """As people type it: `local`, `ssh://pi@kitchen`, `adb://SERIAL`."""
        ...

    def machine(self) -> str:
        """The processor's architecture, as `uname -m` says it: aarch64, x86_64, ...

        Raises:
            TransientDeviceError, StableDeviceError: it cannot be reached.
        """
        ...

    def workplace(self) -> AbstractContextManager[Workplace]:
        """A new folder there.

        Raises:
            TransientDeviceError, StableDeviceError: it cannot be reached, or nothing can be written there.
        """
        ...


class Agent(Protocol):
    """A program that carries out a plan; files to bring and the command that runs them."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Files of this machine by the names they have in the workplace."""
        ...

    def command(self, plan: str) -> Sequence[str]:
        """The command, given the name of the plan's file."""
        ...


_LINE: TypeAdapter[Start | Visit | Peak | Played] = TypeAdapter(Line)


def read_line(text: str, origin: str, error: type[ToolkitError]) -> Start | Visit | Peak | Played:
    """One line of an agent, which came from `origin`; raises `error` when it is none: no agent of ours spoke."""
    try:
        return _LINE.validate_json(text)
    except ValidationError as faults:
        fault = faults.errors()[0]
        where = ".".join(str(step) for step in fault["loc"]) or "line"
        raise error(
            f"{origin}: expected a line of the agent, found {text[:60]!r} ({where}: {fault['msg']}). "
            "Something else wrote there, or the agent is of another version."
        ) from None
