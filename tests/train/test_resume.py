"""`--resume`: a training that is killed at any moment, or whose disk is full, goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from tests.tiny_run import write_sounds
from toolkit.specs.files import UNFINISHED
from toolkit.specs.recipe import Recipe
from toolkit.specs.run import CARD, MANIFEST, WEIGHTS
from toolkit.supernet.supernet import Supernet
from toolkit.train.checkpoint import load_checkpoint
from toolkit.train.loop import finished, under_way
from toolkit.train.train import WORK
from toolkit.train.watch import LOGS

ROOT = Path(__file__).parents[2]
INTERVAL, STEPS = 3, {"largest": 24, "supernet": 20}
LABELS = ("Bell", "Dog")
TOML = f"""
name = "small"
space = "ew-only"
base_width = 8
seed = 3
crop_frames = 64
batch_size = 4
checkpoint_steps = {INTERVAL}
evaluation_steps = 10
calibration_crops = 8
evaluated_subnets = 4
min_train_clips = 2
min_validation_clips = 1
dropout = true

[front_end]
mel_bins = 8

[stages.largest]
steps = {STEPS["largest"]}

[stages.supernet]
steps = {STEPS["supernet"]}
subnet = "sampled"
subnets_per_step = 2
labels = "teacher"
start = "largest"
"""
# Imports once what a training needs, then runs each command line that it reads as `python -m toolkit.train` in a fresh
# copy of itself, so that many trainings do not cost many imports. A copy says what its bars would show, and so how far
# it got, whatever becomes of it; it keeps its id until the next one, so that whoever kills it late kills nobody else.
STARTER = """
import json, os, resource, runpy, sys, traceback
import torch, toolkit.audio.dataset, toolkit.progress, toolkit.train.train

torch.optim.AdamW([torch.zeros(1)])
say = os.dup(1)

class Told(toolkit.progress.Progress):
    def count(self, what, done, total, note=""):
        os.write(say, f"{what} {done}\\n".encode())

toolkit.progress.Progress = Told
pid = 0
for line in sys.stdin:
    if pid:
        os.waitpid(pid, 0)
    arguments, errors, most_bytes = json.loads(line)
    if not (pid := os.fork()):
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if most_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        sys.argv = ["toolkit.train", *arguments]
        try:
            runpy.run_module("toolkit.train", run_name="__main__")
        except SystemExit as left:
            os._exit(left.code or 0)
        except BaseException:
            traceback.print_exc()
        os._exit(70)
    os.write(say, f"{pid}\\n".encode())
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
    os.write(say, f"exit {code}\\n".encode())
"""


class Life(NamedTuple):
    """One training process: its exit code (-9 if it was killed), what it said it had done, and its stderr."""

    code: int
    told: list[str]
    errors: str

    def steps(self) -> list[tuple[str, int]]:
        """Steps that were done, by stage."""
        words = (line.rsplit(" ", 1) for line in self.told)
        return [(stage, int(number)) for stage, number in words if stage in STEPS]


class Trainings:
    """Starts trainings, each a process of its own with one thread."""

    def __init__(self, starter: subprocess.Popen[str], folder: Path) -> None:
        self.starter, self.folder = starter, folder
        (folder / "small.toml").write_text(TOML)
        write_sounds(folder / "sounds", dict.fromkeys(LABELS, (2, 1)))

    def arguments(self, out: Path, *options: str) -> list[str]:
        """The command line of a training into `out`."""
        places = {"--data": self.folder / "sounds", "--recipe": self.folder / "small.toml", "--out": out}
        return [*(str(word) for pair in places.items() for word in pair), "--threads", "1", *options]

    def live(
        self,
        out: Path,
        *options: str,
        until: Callable[[str], bool] = lambda _: False,
        most_bytes: int | None = None,
    ) -> Life:
        """Train into `out`; `until` is told each line that the process says, and when it agrees the process is killed.

        No file of the process grows beyond `most_bytes`.
        """
        assert self.starter.stdin is not None
        assert self.starter.stdout is not None
        errors = self.folder / "errors"
        order = [self.arguments(out, *options), str(errors), most_bytes]
        print(json.dumps(order), file=self.starter.stdin, flush=True)
        pid, told, killed = int(self.starter.stdout.readline()), list[str](), False
        while not (line := self.starter.stdout.readline().strip()).startswith("exit "):
            told.append(line)
            if not killed and until(line):
                os.kill(pid, signal.SIGKILL)
                killed = True
        return Life(int(line.removeprefix("exit ")), told, errors.read_text())


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    """What starts trainings."""
    pipe = subprocess.PIPE
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", STARTER]
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdin=pipe, stdout=pipe) as starter:
        yield Trainings(starter, tmp_path_factory.mktemp("trainings"))
        assert starter.stdin is not None
        starter.stdin.close()


@pytest.fixture(scope="module")
def whole(trainings: Trainings) -> tuple[Path, Life]:
    """The Run of a training that was let alone, and what it said."""
    out = trainings.folder / "whole"
    life = trainings.live(out)
    assert life.code == 0, life.errors
    return out, life


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder but curves; how long the training took is left out."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file() and LOGS not in path.parts}
    found = {str(name): path.read_bytes() for name, path in files.items()}
    for name in {MANIFEST, CARD} & found.keys():
        lines = found[name].decode().splitlines()
        found[name] = "\n".join(line for line in lines if "seconds" not in line).encode()
    return {name: content for name, content in found.items() if not name.startswith(WORK)}


def saved_step(work: Path, stage: str) -> int:
    """The step that a stage can go on from; its file loads whole."""
    net = Supernet(Recipe.load(work.parents[1] / "small.toml").search_space(), len(LABELS), 8)
    for path in (finished(work, stage), under_way(work, stage)):
        if path.exists():
            optimizer = torch.optim.AdamW(net.parameters()) if path == under_way(work, stage) else None
            return int(load_checkpoint(path, net, optimizer)["step"])
    return 0


def soon_after(rng: random.Random, wanted: str) -> Callable[[str], bool]:
    """Some time after the process said so."""

    def waited(line: str) -> bool:
        if line == wanted:
            time.sleep(rng.uniform(0, 0.03))
        return line == wanted

    return waited


def while_writing(out: Path, name: str, wanted: str) -> Callable[[str], bool]:
    """As soon as a file is seen half-written after the process said so; soon after, if it cannot be seen."""

    def seen(line: str) -> bool:
        deadline = time.monotonic() + 0.5
        while line == wanted and time.monotonic() < deadline:
            if any(out.rglob(f".{name}.*{UNFINISHED}")):
                break
        return line == wanted

    return seen


def test_a_training_that_is_killed_and_resumed_is_the_same(trainings: Trainings, whole: tuple[Path, Life]) -> None:
    """kill -9 before the first step, in both stages, amid a checkpoint, in evaluation, amid the Run: the same Run.

    After each kill a file that loads is at most a checkpoint interval behind, the next life goes on from there, and
    no file that was once saved is ever written to again. The last life is the command itself, in a fresh interpreter.
    """
    seed = random.SystemRandom().randrange(2**32)
    print(f"moments of seed {seed}")  # noqa: T201 shown when the test fails
    rng, out = random.Random(seed), trainings.folder / "killed"
    work, kept = out / WORK, dict[Path, bytes]()
    after = whole[1].told.index(f"supernet {STEPS['supernet']}")

    moments = [
        soon_after(rng, "decoding 1"),
        soon_after(rng, f"largest {rng.randrange(1, 9)}"),
        while_writing(out, "largest.checkpoint.safetensors", f"largest {3 * rng.randrange(3, 7)}"),
        soon_after(rng, f"supernet {rng.randrange(1, STEPS['supernet'])}"),
        soon_after(rng, rng.choice(whole[1].told[after:-1])),
        while_writing(out, WEIGHTS, whole[1].told[-1]),
    ]
    reached, goes_on = ("largest", 0), ("largest", 1)
    halves = 0
    for until in moments:
        life = trainings.live(out, "--resume", until=until)
        assert life.code in (0, -signal.SIGKILL), life.errors
        steps = life.steps()
        if steps:
            assert steps[0] == goes_on
            reached = steps[-1]
        stage, step = reached
        saved = saved_step(work, stage)
        assert 0 <= step - saved <= INTERVAL
        goes_on = (stage, saved + 1) if saved < STEPS[stage] else ("supernet", 1)
        halves += any(out.rglob(f".*{UNFINISHED}"))
        for path in work.glob("*.safetensors"):
            link = trainings.folder / f"{len(kept)}"
            os.link(path, link)
            kept[link] = path.read_bytes()
    command = [sys.executable, "-m", "toolkit.train", *trainings.arguments(out, "--resume")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert halves
    assert all(link.read_bytes() == content for link, content in kept.items())
    assert contents(out) == contents(whole[0])
    assert {path.name for path in work.iterdir()} == {path.name for path in (whole[0] / WORK).iterdir()}
    assert not list(out.rglob(f".*{UNFINISHED}"))


def one_line(life: Life) -> str:
    """The only line of stderr."""
    (line,) = life.errors.splitlines()
    return line


def test_a_full_disk_costs_one_line_and_nothing_that_was_saved(trainings: Trainings) -> None:
    """A disk that is full at a checkpoint, or when the Run is written, is told; weights and the earlier Run stay."""
    out = trainings.folder / "full"
    first = trainings.live(out, "--stages", "largest")
    assert (first.code, first.errors) == (0, "")
    before = contents(out) | {WORK: finished(out / WORK, "largest").read_bytes()}
    checkpoint = trainings.live(out, "--resume", most_bytes=2 * len(before[WORK]))
    run = trainings.live(out, "--resume", "--stages", "largest", most_bytes=len(before[WEIGHTS]) - 1)
    assert checkpoint.steps()[-1] == ("supernet", INTERVAL)
    for life, where in ((checkpoint, r"cannot write .*supernet.*: "), (run, "")):
        assert life.code == 2
        assert re.fullmatch(f"error: {where}File too large.*(make room|space left).*", one_line(life))
    assert contents(out) | {WORK: finished(out / WORK, "largest").read_bytes()} == before
    assert not list(out.rglob(f".*{UNFINISHED}"))
    assert trainings.live(out, "--resume").steps()[0] == ("supernet", 1)
