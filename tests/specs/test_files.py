"""A file or folder is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolkit.specs.errors import UserError
from toolkit.specs.files import new_file, new_folder, remove_leftovers, sha256, write_text

HALFWAY = """
import sys, time
from pathlib import Path
from toolkit.specs.files import {writer}
with {writer}(Path(sys.argv[1])) as temporary:
    target = temporary if "{writer}" == "new_file" else temporary / "part.txt"
    with target.open("w") as file:
        file.write("new " * 1000)
        file.flush()
        print("halfway", flush=True)
        time.sleep(60)
"""
FOR_EVER = """
import sys
from pathlib import Path
from toolkit.specs.files import write_text
while True:
    for letter in "abc":
        write_text(Path(sys.argv[1]), letter * 500_000)
"""
MANY_TIMES = """
import sys
from pathlib import Path
from toolkit.specs.files import new_folder
for _ in range(100):
    with new_folder(Path(sys.argv[1])) as temporary:
        for number in range(5):
            (temporary / str(number)).write_text(sys.argv[2])
"""


def names(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {path.name for path in folder.iterdir()}


def break_off(path: Path, error: type[BaseException]) -> None:
    """Write a little, then fail."""
    path.write_text("half")
    raise error


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    """Until the block ends the path does not exist; then it holds what was written, and folders on the way are made."""
    path = tmp_path / "a" / "b" / "file.txt"
    with new_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == {"file.txt"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    """When the block fails or is interrupted, the old file is untouched and nothing else is left."""
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(error), new_file(path) as temporary:
        break_off(temporary, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == {"file.txt"}


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    """A new folder replaces the old one as a whole; files of the old one do not stay."""
    path = tmp_path / "bundle"
    for name in ("first", "second"):
        with new_folder(path) as temporary:
            (temporary / name).write_text(name)
    assert names(path) == {"second"}
    assert names(tmp_path) == {"bundle"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_folder(tmp_path: Path, error: type[BaseException]) -> None:
    """When the block fails, the old folder is untouched and nothing else is left."""
    path = tmp_path / "bundle"
    with new_folder(path) as temporary:
        (temporary / "old").write_text("old")
    with pytest.raises(error), new_folder(path) as temporary:
        break_off(temporary / "half", error)
    assert names(path) == {"old"}
    assert names(tmp_path) == {"bundle"}


@pytest.mark.parametrize("writer", ["new_file", "new_folder"])
def test_kill_while_writing_leaves_the_old(tmp_path: Path, writer: str) -> None:
    """A process killed with SIGKILL in the middle of writing leaves what was there before, byte for byte."""
    path = tmp_path / "target"
    if writer == "new_file":
        write_text(path, "old")
    else:
        with new_folder(path) as temporary:
            (temporary / "part.txt").write_text("old")
    command = [sys.executable, "-c", HALFWAY.format(writer=writer), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "halfway\n"
        process.send_signal(signal.SIGKILL)
    assert (path if writer == "new_file" else path / "part.txt").read_text() == "old"
    assert {name for name in names(tmp_path) if not name.startswith(".")} == {"target"}


@pytest.mark.parametrize("wait_seconds", [0.0, 0.013, 0.05])
def test_a_reader_never_sees_half_a_file(tmp_path: Path, wait_seconds: float) -> None:
    """While a process writes a file over and over, and after it was killed, each read finds a whole one."""
    path = tmp_path / "target.txt"
    wholes = {letter * 500_000 for letter in "abc"}
    with subprocess.Popen([sys.executable, "-c", FOR_EVER, str(path)]) as process:
        while not path.exists():
            time.sleep(0.001)
        for _ in range(50):
            assert path.read_text() in wholes
        time.sleep(wait_seconds)
        process.send_signal(signal.SIGKILL)
    assert path.read_text() in wholes


BETWEEN = """
import sys, time
from pathlib import Path
from toolkit.specs.files import new_folder
moved = Path.replace
def once(self, target):
    moved(self, target)
    print("between", flush=True)
    time.sleep(60)
Path.replace = once
with new_folder(Path(sys.argv[1])) as temporary:
    (temporary / "new").write_text("new")
"""


def kill(program: str, path: Path) -> None:
    """Start a program that writes at `path`, and kill it with SIGKILL when it says how far it is."""
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)


def test_kill_between_the_renames_loses_nothing(tmp_path: Path) -> None:
    """Killed when the old folder was moved and the new one not yet: the next writer has the old one back, even if it
    fails itself, and what was left is gone.
    """
    path = tmp_path / "bundle"
    with new_folder(path) as temporary:
        (temporary / "old").write_text("old")
    kill(BETWEEN, path)
    assert not path.exists()
    with pytest.raises(KeyboardInterrupt), new_folder(path) as temporary:
        break_off(temporary / "half", KeyboardInterrupt)
    assert names(path) == {"old"}
    assert names(tmp_path) == {"bundle"}


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the new folder cannot take the place, the old one does again."""
    path = tmp_path / "bundle"
    with new_folder(path) as temporary:
        (temporary / "old").write_text("old")
    moved, renames = Path.replace, []

    def second_fails(self: Path, target: Path) -> Path:
        renames.append(target)
        if len(renames) == 2:
            raise OSError("no space left")
        return moved(self, target)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises(OSError, match="no space left"), new_folder(path) as temporary:
        (temporary / "new").write_text("new")
    assert names(path) == {"old"}
    assert names(tmp_path) == {"bundle"}


def test_the_next_writer_removes_what_killed_ones_left(tmp_path: Path) -> None:
    """Half-written folders of the same name go; those of a writer that lives stay, and so do others' and one's own."""
    path = tmp_path / "bundle"
    halfway = HALFWAY.format(writer="new_folder")
    for _ in range(2):
        kill(halfway, path)
    kill(halfway, tmp_path / "bundle.zip")
    others = {name for name in names(tmp_path) if name.startswith(".bundle.zip.")}
    (tmp_path / ".bundle.backup").mkdir()
    assert len(names(tmp_path)) == 3, "the second removed what the first left"
    command = [sys.executable, "-c", halfway, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "halfway\n"
        alive = names(tmp_path) - others - {".bundle.backup"}
        assert len(alive) == 1
        with new_folder(path):
            pass
        assert names(tmp_path) == {"bundle", ".bundle.backup", *others, *alive}
        writer.send_signal(signal.SIGKILL)
    with new_folder(path):
        pass
    assert names(tmp_path) == {"bundle", ".bundle.backup", *others}


def test_several_writers_of_one_folder_leave_a_whole_one(tmp_path: Path) -> None:
    """Processes that write the same folder over and over do not get in each other's way."""
    path = tmp_path / "bundle"
    command = [sys.executable, "-c", MANY_TIMES, str(path)]
    writers = [subprocess.Popen([*command, letter], stderr=subprocess.PIPE, text=True) for letter in "abc"]
    for writer in writers:
        assert writer.communicate()[1] == ""
        assert writer.returncode == 0
    texts = {file.read_text() for file in path.iterdir()}
    assert len(names(path)) == 5
    assert len(texts) == 1
    assert names(tmp_path) == {"bundle"}


def test_places_that_cannot_be_written_are_one_clear_error(tmp_path: Path) -> None:
    """A file where a folder should be gives a UserError that names the option to use."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="--out"), new_file(tmp_path / "file" / "below"):
        pytest.fail("the block runs although nothing can be written")
    for path in (tmp_path / "file" / "below", tmp_path / "file"):
        with pytest.raises(UserError, match="--out"), new_folder(path):
            pytest.fail("the block runs although nothing can be written")


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    """The digest of a file is SHA-256 of its bytes.

    Source: FIPS 180-4 example, the text "abc".
    """
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """Its half-written file goes; whole files, hidden ones too, and folders stay."""
    command = [sys.executable, "-c", HALFWAY.format(writer="new_file"), str(tmp_path / "target")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "halfway\n"
        writer.send_signal(signal.SIGKILL)
    for name in ("whole", ".hidden"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder").mkdir()
    assert len(names(tmp_path)) == 4
    remove_leftovers(tmp_path)
    assert names(tmp_path) == {"whole", ".hidden", "folder"}
