"""Evaluations are on disk one by one, whatever happens to the process that writes them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limits import files_end_at
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.evaluation import Evaluation, EvaluationCache, EvaluationHead

ROOT = Path(__file__).parents[2]
HEAD = EvaluationHead(weights="a" * 64, data_hash="b" * 16, validation="c" * 16, clips=30)


def evaluation(number: int, mean: float = 0.5) -> Evaluation:
    """One of an invented subnet."""
    return Evaluation(subnet=f"{number}.{number}-8-8", mean_average_precision=mean, clips=30, seconds=0.25)


def ids(found: dict[str, Evaluation]) -> list[str]:
    """Subnets in the order of the file."""
    return list(found)


def test_nothing_is_known_of_a_run_at_first(tmp_path: Path) -> None:
    """Asking writes nothing."""
    assert EvaluationCache(tmp_path, HEAD).load() == {}
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30)
@given(parts=st.lists(st.lists(st.integers(1, 9), max_size=4), max_size=5))
def test_what_was_appended_is_read_back(tmp_path_factory: pytest.TempPathFactory, parts: list[list[int]]) -> None:
    """However the evaluations came, each subnet is known once, as it was first evaluated."""
    folder, wanted = tmp_path_factory.mktemp("run"), dict[str, Evaluation]()
    for turn, part in enumerate(parts):
        new = [evaluation(number, turn / 8) for number in dict.fromkeys(part)]
        known = EvaluationCache(folder, HEAD).append(new)
        wanted = {one.subnet: one for one in new} | wanted
        assert known == wanted
        assert EvaluationCache(folder, HEAD).load() == wanted


@pytest.mark.parametrize("head_alone", [True, False])
def test_a_line_that_was_cut_off_is_dropped_and_written_anew(tmp_path: Path, head_alone: bool) -> None:
    """Wherever the last line ends too early, all before it is known, and the file is good after the next append."""
    cache = EvaluationCache(tmp_path, HEAD)
    cache.append([] if head_alone else [evaluation(1), evaluation(2)])
    whole = cache.path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for size in range(last, len(whole)):
        cache.path.write_bytes(whole[:size])
        before = [] if head_alone else [evaluation(1).subnet]
        assert ids(cache.load()) == before
        assert ids(cache.append([evaluation(3)])) == [*before, evaluation(3).subnet]
        assert ids(cache.load()) == [*before, evaluation(3).subnet]


WRITER = """
import sys
from pathlib import Path
from tests.specs.test_evaluation import HEAD, evaluation
from toolkit.specs.evaluation import EvaluationCache
cache = EvaluationCache(Path(sys.argv[1]), HEAD)
for number in range(1, 100_000):
    cache.append([evaluation(number)])
    print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_had_written(tmp_path: Path) -> None:
    """Killed at once and without warning, and again: what was told to be written is known, and more can be added."""
    cache = EvaluationCache(tmp_path, HEAD)
    for turn in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout
            told = [int(next(writer.stdout)) for _ in range(10 * (turn + 1))]
            os.kill(writer.pid, signal.SIGKILL)
        assert {evaluation(number).subnet for number in told} <= cache.load().keys()
    assert evaluation(200_000).subnet in cache.append([evaluation(200_000)])


def test_two_writers_get_along(tmp_path: Path) -> None:
    """Processes that add to one file at the same time spoil no line."""
    lines = WRITER.replace("100_000", "40").replace("evaluation(number)", "evaluation(number + int(sys.argv[2]))")
    both = [subprocess.Popen([sys.executable, "-c", lines, tmp_path, str(100 * turn)], cwd=ROOT) for turn in range(2)]
    assert [writer.wait(60) for writer in both] == [0, 0]
    wanted = {evaluation(number + start).subnet for number in range(1, 40) for start in (0, 100)}
    assert EvaluationCache(tmp_path, HEAD).load().keys() == wanted


@pytest.mark.parametrize("changed", [{"weights": "d" * 64}, {"data_hash": "e" * 16}, {"validation": "f" * 16}])
def test_other_weights_data_or_clips_are_another_file(tmp_path: Path, changed: dict[str, str]) -> None:
    """Figures of one are not taken for those of another, not even where a file was renamed."""
    other = EvaluationCache(tmp_path, HEAD.model_copy(update=changed))
    cache = EvaluationCache(tmp_path, HEAD)
    cache.append([evaluation(1)])
    assert other.path != cache.path
    assert other.load() == {}
    cache.path.rename(other.path)
    for use in (other.load, lambda: other.append([])):
        with pytest.raises(MismatchError, match=rf"of other evaluations: {next(iter(changed))} .*, expected "):
            use()


@pytest.mark.parametrize("broken", ["", "{", json.dumps({"subnet": "8-8-8", "mean_average_precision": 1.5})])
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, broken: str) -> None:
    """What is no evaluation is told with its line, and nothing is overwritten."""
    cache = EvaluationCache(tmp_path, HEAD)
    cache.append([evaluation(1), evaluation(2)])
    lines = cache.path.read_text().splitlines()
    content = "\n".join([*lines[:2], broken, *lines[2:], ""])
    cache.path.write_text(content)
    with pytest.raises(UserError, match=r"jsonl line 3 is not"):
        cache.append([evaluation(3)])
    assert cache.path.read_text() == content


def test_a_run_that_cannot_be_written_is_told_to_be_copied(tmp_path: Path) -> None:
    """A file stands where the folder should be, or the disk is full: one line, and what was known stays known."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "evaluations").touch()
    with pytest.raises(UserError, match=r"cannot write .*Copy the Run's folder"):
        EvaluationCache(tmp_path / "closed", HEAD).append([evaluation(1)])
    cache = EvaluationCache(tmp_path, HEAD)
    cache.append([evaluation(1)])
    with files_end_at(cache.path.stat().st_size + 10), pytest.raises(UserError, match=r"cannot write .*too large"):
        cache.append([evaluation(2)])
    assert ids(cache.load()) == [evaluation(1).subnet]
    assert ids(cache.append([evaluation(2)])) == [evaluation(1).subnet, evaluation(2).subnet]


@pytest.mark.parametrize("mean", [float("nan"), float("inf"), -0.1, 1.1])
def test_what_is_no_precision_is_refused(mean: float) -> None:
    """No evaluation holds what no mAP can be."""
    with pytest.raises(ValueError, match="mean_average_precision"):
        evaluation(1, mean)
