"""A Python environment apart from the toolkit's, for a program that pins other versions of what is here: installed once
from a lock, by name and hash, in the user's cache folder, and run as a process on this machine.

Not for devices: those are `toolkit.targets`'. Proved by tests/export/test_via_onnx2tf.py and
tests/export/test_tflite_runtime.py.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.specs.errors import UserError

Installer = Literal["uv", "pip"]
Note = Callable[[str], None]
"""Called with a line for people."""

_COMPLETE = "complete"
"""File in an environment whose installation ended well."""
_OURS = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"})
"""What would let the toolkit's own packages into the other environment."""


def cache_folder() -> Path:
    """Where this account keeps what can be made again: `aec-toolkit` in XDG_CACHE_HOME, or in ~/.cache.

    Source: XDG Base Directory Specification 0.8, which says that a relative path there is to be ignored.
    """
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (stated if stated.is_absolute() else Path.home() / ".cache") / "aec-toolkit"


@dataclass(frozen=True)
class OwnEnvironment:
    """One such environment.

    Args:
        name: of the program, for people and for the folder's name.
        lock: versions and hashes of all that is installed, as `uv pip compile` writes them.
        python: version that the lock is for.
    """

    name: str
    lock: Path
    python: tuple[int, int]

    @property
    def folder(self) -> Path:
        """Where it is; another lock has another folder."""
        return cache_folder() / f"{self.name}-{hashlib.sha256(self.lock.read_bytes()).hexdigest()[:12]}"

    def install(self, note: Note, installer: Installer | None = None) -> None:
        """Install what the lock holds, where that has not been done; of several processes one does it, the rest wait.

        Args:
            note: told before the installation begins.
            installer: `uv` where it is found and none is named.

        Raises:
            UserError: no Python of that version, no place, or the installation failed; nothing is left behind then.
        """
        if (self.folder / _COMPLETE).exists():
            return
        with alone(self.folder):
            if (self.folder / _COMPLETE).exists():
                return
            python = find_python(self.name, self.python)
            count = len(re.findall(r"^[A-Za-z0-9._-]+==", self.lock.read_text(encoding="utf-8"), re.MULTILINE))
            note(f"installing {self.name} ({count} packages, once) in {self.folder}")
            self._remove()
            try:
                for command in self._commands(python, installer):
                    _checked(f"{self.name} could not be installed", command)
                (self.folder / _COMPLETE).touch()
            finally:
                if not (self.folder / _COMPLETE).exists():
                    self._remove()

    def run(
        self, arguments: Sequence[str | Path], cwd: Path, variables: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run its Python with these arguments, in a folder and with more environment variables; output is kept."""
        binaries = self.folder / "bin"
        environment = {name: value for name, value in os.environ.items() if name not in _OURS} | {
            "PATH": os.pathsep.join((str(binaries), os.environ.get("PATH", os.defpath))),
            **variables,
        }
        command = [str(part) for part in (binaries / "python", *arguments)]
        return subprocess.run(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def _commands(self, python: str, installer: Installer | None) -> list[list[str]]:
        made, inside, lock = str(self.folder), str(self.folder / "bin" / "python"), str(self.lock)
        locked = ["--quiet", "--no-deps", "--require-hashes", "--requirement", lock]
        uv = _find("uv") if installer != "pip" else None
        if uv is not None:
            return [
                [uv, "venv", "--quiet", "--no-project", "--python", python, made],
                [uv, "pip", "install", "--python", inside, *locked],
            ]
        if installer == "uv":
            raise UserError("uv was not found. Install it with: pip install uv")
        return [
            [python, "-m", "venv", made],
            [inside, "-m", "pip", "install", "--disable-pip-version-check", *locked],
        ]

    def _remove(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Of several processes that want to make one folder, one is in the block and the rest wait.

    Raises:
        UserError: its place cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        door = folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise UserError(
            f"cannot write {folder.parent}: {error.strerror}. Name another place with XDG_CACHE_HOME."
        ) from error
    with door:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield


def find_python(name: str, version: tuple[int, int]) -> str:
    """A Python of that version: the one that runs this, or `pythonX.Y` on the PATH.

    Raises:
        UserError: there is none; the message says what needs it.
    """
    if sys.version_info[:2] == version:
        return sys.executable
    wanted = ".".join(map(str, version))
    found = shutil.which(f"python{wanted}")
    # A version manager's stand-in is on the PATH for versions, too, that are not to be had.
    answers = found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0
    if not found or not answers:
        raise UserError(f"{name} runs on Python {wanted} and no python{wanted} was found. Install it, with its venv.")
    return found


def _find(program: str) -> str | None:
    """A program beside this Python, where `make` puts it, or on the PATH."""
    beside = Path(sys.executable).with_name(program)
    return str(beside) if beside.exists() else shutil.which(program)


def _checked(what_failed: str, command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{what_failed}: {last_line(done.stderr or done.stdout)}")


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason was given")
