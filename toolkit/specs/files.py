"""Files and folders appear whole or not at all: written under a temporary name, then renamed.

Proved by tests/specs/test_files.py.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path

from toolkit.specs.errors import UserError

UNFINISHED = ".part"
"""How the name of a file or folder ends that is being written."""
_RANDOM = "?" * 8
"""What `tempfile` puts into names."""
_NEW, _OLD = "new", "old"


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}. Name another place with --out.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; it takes the place of `path` when the block ends well.

    What killed writers of `path` left is cleared away first. Where one was killed, or failed, between moving the old
    folder away and the new one in, the old one is put back.

    Raises:
        UserError: the parent folder cannot be written, or `path` is a file.
    """
    if path.is_file():  # one look: another writer may move a folder away between two
        raise UserError(f"{path} is a file, a folder is to be written there. Name another place with --out.")
    with ExitStack() as writing:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(path.parent):
                for left in path.parent.glob(f".{escape(path.name)}.{_RANDOM}{UNFINISHED}"):
                    with suppress(OSError), _locked(left, wait=False):  # no writer lives that holds it
                        _clear(left, path)
                work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=UNFINISHED, dir=path.parent))
                writing.enter_context(_locked(work))
            (work / _NEW).mkdir()
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}. Name another place with --out.") from error
        try:
            yield work / _NEW
            (work / _NEW).chmod(0o755)
            with _locked(path.parent):
                if path.exists():
                    path.replace(work / _OLD)
                (work / _NEW).replace(path)
        finally:
            with _locked(path.parent):
                _clear(work, path)


def _clear(work: Path, path: Path) -> None:
    """Remove a writer's folder; the old one in it goes back where `path` is empty."""
    if (work / _OLD).exists() and not path.exists():
        (work / _OLD).replace(path)
    shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a folder against other processes that do so; the system lets go of it when the process ends, however.

    Raises:
        OSError: another holds it and `wait` is false, or the folder cannot be read.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        if wait:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Remove the files in a folder whose writers were killed; nobody may be writing there."""
    for left in folder.glob(f".*{UNFINISHED}"):
        if left.is_file():
            left.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
