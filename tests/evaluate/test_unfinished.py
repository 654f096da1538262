"""What an evaluation has done so far is found again, and nothing else is taken for it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.limits import files_end_at
from toolkit.evaluate.unfinished import Scores, Unfinished
from toolkit.specs.errors import UserError
from toolkit.specs.space import Subnet

ROOT = Path(__file__).parents[2]
SUBNETS = [Subnet.parse("6.6-12.12-25"), Subnet.parse("6.6-12.12-38")]


class KilledError(Exception):
    """The process ends here."""


def some_scores(clips: int) -> Scores:
    """Scores of clips, two subnets and three labels."""
    return np.random.default_rng(clips).random((clips, 2, 3), dtype=np.float32)


@contextmanager
def killed(folder: Path) -> Iterator[Unfinished]:
    """The files of an evaluation that is killed when the block ends."""
    with suppress(KilledError), Unfinished.open(folder, "key") as files:
        yield files
        raise KilledError


def leave(folder: Path, *parts: Scores) -> None:
    """An evaluation that is killed after it has scored some clips."""
    with killed(folder) as files:
        files.save_norms({"input": (torch.zeros(4), torch.ones(4))})
        files.scores(SUBNETS, 3)
        for part in parts:
            files.add_scores(part)


def test_scores_and_statistics_are_found_again(tmp_path: Path) -> None:
    """To the bit, in their order, and more can be added."""
    leave(tmp_path, some_scores(5), some_scores(2))
    with killed(tmp_path) as files:
        ((path, (mean, variance)),) = files.norms().items()
        assert (path, mean.tolist(), variance.tolist()) == ("input", [0.0] * 4, [1.0] * 4)
        np.testing.assert_array_equal(files.scores(SUBNETS, 3), np.concatenate([some_scores(5), some_scores(2)]))
        files.add_scores(some_scores(1))
    with Unfinished.open(tmp_path, "key") as files:
        assert len(files.scores(SUBNETS, 3)) == 8
    assert list(tmp_path.iterdir()) == []


def test_a_clip_whose_scores_were_cut_off_is_scored_again(tmp_path: Path) -> None:
    """Whatever number of bytes is missing, the clips before are kept."""
    leave(tmp_path, some_scores(3))
    path = tmp_path / "key.scores"
    whole = path.read_bytes()
    for missing in (1, 23, 24, 25):
        path.write_bytes(whole[:-missing])
        with killed(tmp_path) as files:
            kept = files.scores(SUBNETS, 3)
            assert len(kept) == (2 if missing <= 24 else 1)
            files.add_scores(some_scores(3)[len(kept) :])
            np.testing.assert_array_equal(files.scores(SUBNETS, 3), some_scores(3))


@pytest.mark.parametrize(("subnets", "labels"), [(SUBNETS[:1], 3), (SUBNETS[::-1], 3), (SUBNETS, 6)])
def test_scores_of_other_subnets_or_labels_are_none(tmp_path: Path, subnets: list[Subnet], labels: int) -> None:
    """They are dropped, and those asked for begin with the first clip."""
    leave(tmp_path, some_scores(4))
    with Unfinished.open(tmp_path, "key") as files:
        assert files.scores(subnets, labels).shape == (0, len(subnets), labels)
        files.add_scores(np.ones((2, len(subnets), labels), np.float32))
        assert files.scores(subnets, labels).shape == (2, len(subnets), labels)


def test_statistics_that_are_damaged_are_none(tmp_path: Path) -> None:
    """They are computed again."""
    leave(tmp_path)
    (tmp_path / "key.norms.safetensors").write_bytes(b"no tensors")
    with Unfinished.open(tmp_path, "key") as files:
        assert files.norms() == {}


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Another one waits until the first is done, and then has files of its own."""
    other = (
        "import sys\nfrom pathlib import Path\nfrom toolkit.evaluate.unfinished import Unfinished\nprint(flush=True)\n"
        "with Unfinished.open(Path(sys.argv[1]), 'key') as files:\n"
        "    Path(sys.argv[1], 'entered').touch()\n"
        "    assert Path(sys.argv[1], 'key.scores').exists()\n"
    )
    with Unfinished.open(tmp_path, "key"):
        waiting = subprocess.Popen([sys.executable, "-c", other, tmp_path], cwd=ROOT, stdout=subprocess.PIPE)
        assert waiting.stdout
        waiting.stdout.readline()
        time.sleep(0.3)
        assert not (tmp_path / "entered").exists()
    assert waiting.wait(60) == 0
    waiting.stdout.close()
    assert [path.name for path in tmp_path.iterdir()] == ["entered"]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    """What stands there already is kept."""
    leave(tmp_path, some_scores(2))
    size = (tmp_path / "key.scores").stat().st_size
    with killed(tmp_path) as files:
        files.scores(SUBNETS, 3)
        told = r"cannot write .*key\.scores: File too large.* Copy the Run's folder"
        with files_end_at(size + 30), pytest.raises(UserError, match=told):
            files.add_scores(some_scores(9))
    with Unfinished.open(tmp_path, "key") as files:
        assert len(files.scores(SUBNETS, 3)) == 3


def test_a_run_that_cannot_be_written_is_told_to_be_copied(tmp_path: Path) -> None:
    """Before anything is computed."""
    (tmp_path / "evaluations").touch()
    with (
        pytest.raises(UserError, match=r"cannot write .*Copy the Run's folder"),
        Unfinished.open(tmp_path / "evaluations", "key"),
    ):
        pass
