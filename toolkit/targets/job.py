"""`Job`: one script in a device's shell, its stdin held open until the job is left, and how it ended.

What it says on stdout begins with a line of ours, so that what a login prints is no part of it; the last line of stderr
is its exit code, so that a job that was cut off is told from one that ended. Proved by tests/targets/test_targets.py.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO, Protocol, Self

from toolkit.specs.errors import DeviceError

_BEGIN = "aec-toolkit: begin"
_EXIT = "aec-toolkit: exit "
# Each on a line of its own, whatever was said before.
_FRAME = f"""trap 'echo "
{_EXIT}$?" >&2' EXIT
echo "
{_BEGIN}"
"""
_PATIENCE_S = 30.0
"""A job whose stdin has ended has so long to end by itself."""


class Connection(Protocol):
    """A way to a device's shell."""

    @property
    def lost_code(self) -> int:
        """The client's exit code where it is the way that failed; another is the device's answer."""
        ...

    def argv(self, words: Sequence[str]) -> list[str]:
        """The command of this machine that runs the command `words` there, with stdin, stdout and stderr."""
        ...

    def fault(self, talk: str) -> DeviceError | None:
        """Why a command was cut off or never began, from what the client said on stderr; None: it does not tell."""
        ...


class Job:
    """A process of this machine that runs a script on the device; a context, at whose end both have ended.

    Args:
        connection: the way there.
        script: for a POSIX shell.
        words: its arguments, `$1` and so on.
    """

    def __init__(self, connection: Connection, script: str, *words: str) -> None:
        self.connection = connection
        self.begun = False
        self._greeting = ""
        self._talk = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)
        self._process = subprocess.Popen(
            connection.argv(["sh", "-c", _FRAME + script, "aec-toolkit", *words]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._talk,
            # No terminal: nothing can ask there, and Ctrl-C ends the job through us alone.
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(self._process.stdin)
        self._close(self._process.stdout)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_S)
        self._process.kill()
        self._process.wait()
        self._talk.close()

    @contextmanager
    def stdin(self) -> Iterator[IO[bytes]]:
        """What the script reads; its end when the block ends."""
        stdin = self._process.stdin
        assert stdin  # noqa: S101 (it is a pipe)
        try:
            yield stdin
        finally:
            stdin.close()

    def say(self, data: bytes) -> bool:
        """Writes to stdin; whether anybody is there to read it."""
        stdin = self._process.stdin
        assert stdin  # noqa: S101 (it is a pipe)
        try:
            stdin.write(data)
            stdin.flush()
        except OSError:
            return False
        return True

    def lines(self) -> Iterator[str]:
        """Lines of the script's stdout as they come."""
        for raw in self._process.stdout or ():
            line = raw.decode(errors="replace").rstrip("\r\n")
            if self.begun:
                yield line
            elif line == _BEGIN:
                self.begun = True
            else:
                self._greeting = line.strip() or self._greeting

    def code(self) -> int | None:
        """Waits for the script's end, its stdin closed; its exit code, None when it was cut off."""
        for _ in self.lines():
            pass
        self._close(self._process.stdin)
        self._process.wait()
        found = re.findall(rf"^{_EXIT}(\d+)$", self._read_talk(), re.MULTILINE)
        return int(found[-1]) if found else None

    def has_ended(self, patience_s: float = 1.0) -> bool:
        """Whether the process here has ended, though its stdin is open."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        return self._process.returncode is not None

    def is_answered(self) -> bool:
        """Whether a script that never began was met by something else there, and not by a broken way."""
        code = self._process.returncode
        return not self.begun and code is not None and code > 0 and code != self.connection.lost_code

    def talk(self) -> str:
        """What was said on stderr."""
        return "\n".join(line for line in self._read_talk().splitlines() if not line.startswith(_EXIT)).strip()

    def last_words(self) -> str:
        """The last line of stderr, or of a login in whose place no script began, or the exit code."""
        greeting = "" if self.begun else self._greeting
        return self.talk().rpartition("\n")[2].strip() or greeting or f"exit code {self._process.poll()}"

    def _close(self, pipe: IO[bytes] | None) -> None:
        with suppress(OSError):
            if pipe:
                pipe.close()

    def _read_talk(self) -> str:
        self._talk.seek(0)
        return self._talk.read().decode(errors="replace")
