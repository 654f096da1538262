"""Two processes over gloo give what one gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from lightning_fabric import Fabric

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
    """Evaluate some subnets of a Run in one of so many processes, a clip a turn, then meet an error in each of them.

    Leaves `(OUT)/(RANK).json` with the figures and all that was told.
    """
    run = Run.open(Path(run_folder))
    recipe = run.manifest.recipe.model_copy(update={"precision": "32-true"})
    fabric = launch(recipe, "cpu", int(processes), 1, None)
    pytest.MonkeyPatch().setattr(module, "EVALUATION_BATCH", 1)
    told = set[str]()
    evaluator = Evaluator(run, load_dataset(Path(sounds)), None, fabric, lambda what, _done, _of: told.add(what))
    found = evaluator(list(run.manifest.space.subnets())[SUBNETS])
    left = {
        "figures": {subnet.id: mean for subnet, mean in found.items()},
        "key": evaluator.key,
        "known": evaluator.known,
        "told": sorted(told),
        "errors": errors(fabric),
    }
    Path(out, f"{fabric.global_rank}.json").write_text(json.dumps(left))


def errors(fabric: Fabric) -> list[str]:
    """What a process is told when the last process meets an error, and then the first."""

    def work(rank: int) -> None:
        if rank == fabric.global_rank:
            raise UserError(f"process {rank}")

    said = []
    for rank, call in ((fabric.world_size - 1, of_all), (0, of_first)):
        with pytest.raises(UserError) as error:
            call(fabric, work, rank)
        said.append(str(error.value))
    return said


def test_two_processes_give_what_one_gives(place: Place, tmp_path: Path) -> None:
    """Every process has all figures, they are those of one process, and stand in the Run once.

    An error of one process is told in all of them: none waits for one that has left.
    """
    one = shutil.copytree(place.run.folder, tmp_path / "one")
    evaluate(str(one), str(place.sounds), str(one), "1")
    alone = json.loads((one / "0.json").read_text())
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
    assert first["errors"] == second["errors"] == ["process 1", "process 0"]
    assert alone["errors"] == ["process 0", "process 0"]
