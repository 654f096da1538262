"""Progress is seen by people at a terminal, on stderr, and by nobody else."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.progress import Progress

ROOT = Path(__file__).parent.parent
WORK = """
from toolkit.progress import Progress
with Progress() as progress:
    for number in progress.each("sorting", range(3)):
        progress.step("learning", number + 1, 3, 0.125)
        progress._bars.refresh()
print("done")
"""


def at_a_terminal(code: str) -> tuple[str, str]:
    """What a program writes to stdout, a pipe, and to stderr, a terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": "100", "TERM": "xterm"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux says so when the other side has closed the terminal
                break
            if not part:
                break
            seen += part
        os.close(ours)
        assert process.stdout is not None
        return process.stdout.read().decode(), re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())


def test_bars_are_drawn_at_a_terminal() -> None:
    """Each kind of work has a bar with its count, the time left and its note, on stderr; stdout has results alone."""
    stdout, stderr = at_a_terminal(WORK)
    assert stdout == "done\n"
    for count in range(1, 4):
        assert re.search(rf"learning [━╸╺ ]* {count}/3 .*:.*:.* loss 0\.1250", stderr)
    assert re.search(r"sorting [━╸╺ ]* 2/3", stderr)


def test_nothing_is_drawn_elsewhere(capfd: pytest.CaptureFixture[str]) -> None:
    """A log file or a pipe gets no bars."""
    with Progress() as progress:
        progress.count("sorting", 1, 2)
        progress.step("learning", 2, 2, 0.5)
    assert capfd.readouterr() == ("", "")


def test_items_are_passed_on() -> None:
    """`each` gives every item once, in order, whatever it draws."""
    with Progress() as progress:
        assert list(progress.each("sorting", ["a", "b", "c"])) == ["a", "b", "c"]
        assert list(progress.each("nothing", [])) == []


def test_errors_pass_through() -> None:
    """An error within the work is not swallowed by the bars."""
    with pytest.raises(ValueError, match="inside"), Progress():
        raise ValueError("inside")
