"""`AppAgent`: the shell script that speaks for the demo app, in this machine's shell.

An `am` stands in that starts a program which writes as the app does, and goes on. With the app's own benchmark:
tests/android/test_benchmark_over_adb.py.
"""

from __future__ import annotations

import os
import shlex
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.targets.conftest import until
from toolkit.native.app import AppAgent
from toolkit.targets import Plan, open_target
from toolkit.targets.agents import PLAN

AM = """#!/bin/sh
case $1 in
start)
    while [ "$1" != name ]; do shift; done
    mkdir -p {results}
    echo '{{"kind":"start"}}' >{results}/$2.jsonl
    sleep 600 </dev/null >/dev/null 2>&1 &
    echo $! >{folder}/pid
    ;;
force-stop) [ "$2" = org.aectoolkit.demo ] && kill "$(cat {folder}/pid)" ;;
esac
"""


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the app writes; `am` is on the PATH."""
    results = tmp_path / "Android" / "data" / "org.aectoolkit.demo" / "files" / "benchmark"
    words = {"results": shlex.quote(str(results)), "folder": shlex.quote(str(tmp_path))}
    for name, text in {"am": AM.format(**words), "pidof": "#!/bin/sh\necho 1\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("EXTERNAL_STORAGE", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return results


def test_a_run_that_is_cut_short_leaves_nothing(results: Path, tmp_path: Path) -> None:
    """Whoever stops reading and leaves has ended the app, and no file of its is left."""
    agent = AppAgent()
    (tmp_path / "plan").write_text(Plan(time=("a.tflite",)).text())
    with open_target("local").workplace() as place:
        place.bring({**agent.files, PLAN: tmp_path / "plan"})
        with closing(place.run(agent.command(PLAN))) as lines:
            assert next(lines) == '{"kind":"start"}'
            app = psutil.Process(int((tmp_path / "pid").read_text()))
            assert len(list(results.iterdir())) == 1
    assert until(lambda: not app.is_running())
    assert list(results.iterdir()) == []
