"""Two processes over gloo give what one gives."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.evaluate.conftest import Place
from tests.gloo import PROCESSES, in_processes
from toolkit.audio.dataset import load_dataset
from toolkit.evaluate import evaluator as module
from toolkit.evaluate.evaluator import Evaluator
from toolkit.evaluate.processes import of_all, of_first
from toolkit.specs.errors import UserError
from toolkit.specs.evaluation import EVALUATIONS
from toolkit.specs.run import Run
from toolkit.train.parallel import launch

SUBNETS = slice(3, None, 9)


def evaluate(run_folder: str, sounds: str, out: str, processes: str = str(PROCESSES)) -> None:
    """Evaluate some subnets of a Run, a clip a turn; leaves `(OUT)/(RANK).json` with figures and what was told."""
    run = Run.open(Path(run_folder))
    recipe = run.manifest.recipe.model_copy(update={"precision": "32-true"})
    fabric = launch(recipe, "cpu", int(processes), 1, None)
    pytest.MonkeyPatch().setattr(module, "EVALUATION_BATCH", 1)
    told = set[str]()
    evaluator = Evaluator(run, load_dataset(Path(sounds)), None, fabric, lambda what, _done, _of: told.add(what))
    found = evaluator(list(run.manifest.space.subnets())[SUBNETS])
    figures = {subnet.id: mean for subnet, mean in found.items()}
    known = {"key": evaluator.key, "known": evaluator.known}
    Path(out, f"{fabric.global_rank}.json").write_text(json.dumps({"figures": figures, "told": sorted(told), **known}))


def fail(out: str) -> None:
    """The second of two processes meets an error in one turn, the first in another; leaves what each was told."""
    run = Run.open(Path(out, "run"))
    fabric = launch(run.manifest.recipe.model_copy(update={"precision": "32-true"}), "cpu", PROCESSES, 1, None)

    def work(turn: str) -> str:
        if (turn == "second") == (fabric.global_rank == 1):
            raise UserError(f"process {fabric.global_rank}")
        return turn

    said = []
    for turn, call in (("second", of_all), ("first", of_first)):
        with pytest.raises(UserError) as error:
            call(fabric, work, turn)
        said.append(str(error.value))
    Path(out, f"failed-{os.environ['RANK']}").write_text(" ".join(said))


def test_two_processes_give_what_one_gives(place: Place, tmp_path: Path) -> None:
    """Every process has all figures, they are those of one process, and stand in the Run once."""
    one = shutil.copytree(place.run.folder, tmp_path / "one")
    evaluate(str(one), str(place.sounds), str(tmp_path / "one"), "1")
    alone = json.loads((tmp_path / "one" / "0.json").read_text())
    in_processes(f"{__name__}:evaluate", place.run.folder, place.sounds, tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(PROCESSES))
    assert first["figures"] == second["figures"] == pytest.approx(alone["figures"], abs=1e-4)
    assert list(first["figures"]) == list(alone["figures"])
    assert first["known"] == second["known"] == first["figures"]
    assert first["key"] == second["key"] == alone["key"]
    assert "scoring clips" in first["told"]
    assert second["told"] == []
    (cache,) = (place.run.folder / EVALUATIONS).iterdir()
    lines = [json.loads(line)["subnet"] for line in cache.read_text().splitlines()[1:]]
    assert sorted(lines) == sorted(alone["figures"])


def test_an_error_of_one_process_is_told_in_all(place: Place, tmp_path: Path) -> None:
    """None of them waits for one that has left."""
    assert place.run.folder == tmp_path / "run"
    in_processes(f"{__name__}:fail", tmp_path)
    for rank in range(PROCESSES):
        assert (tmp_path / f"failed-{rank}").read_text() == "process 1 process 0"
