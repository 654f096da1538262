"""Figures are those of each subnet alone; what is known is never computed again; a kill loses little."""

from __future__ import annotations

import random
import shutil

import pytest
from safetensors.torch import load_file, save_file

from tests.evaluate.conftest import Place
from toolkit.evaluate import evaluator as module
from toolkit.evaluate.evaluator import Evaluator
from toolkit.specs.errors import UserError
from toolkit.specs.evaluation import EVALUATIONS
from toolkit.specs.files import sha256
from toolkit.specs.run import MANIFEST, WEIGHTS, Run
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import recalibrate
from toolkit.train.evaluate import score_all
from toolkit.train.metrics import mean_average_precision


class KilledError(Exception):
    """The process ends here."""


class Told:
    """Progress, which ends the process once something has been told so often."""

    def __init__(self, kill: str = "", after: int = 0) -> None:
        self.said: list[tuple[str, int, int]] = []
        self._kill, self._after = kill, after

    def __call__(self, what: str, done: int, of: int) -> None:
        """Be told."""
        self.said.append((what, done, of))
        if what == self._kill and self.counted(what) == self._after:
            raise KilledError

    def counted(self, what: str) -> int:
        """How often something was told."""
        return sum(said == what for said, _, _ in self.said)


def alone(evaluator: Evaluator, subnet: Subnet) -> float:
    """mAP of a subnet by itself, recalibrated by itself."""
    norms = recalibrate(evaluator.net, evaluator.frames, [subnet])
    scores = score_all(evaluator.net, norms, [subnet], evaluator.heard, lambda _done, _of: None)
    return mean_average_precision(scores[subnet.id], evaluator.examples.targets(evaluator.heard))


def some(run: Run, count: int, seed: int = 0) -> list[Subnet]:
    """Subnets of a Run's space, in any order."""
    return random.Random(seed).sample(list(run.manifest.space.subnets()), count)


def test_figures_are_those_of_the_run(place: Place) -> None:
    """On all of validation each subnet has the mAP that the training found, to the last digit kept."""
    run, evaluator = place.run, Evaluator(place.run, place.dataset)
    subnets = some(run, 40)
    found = evaluator(subnets)
    assert list(found) == subnets
    assert evaluator.examples.data_hash == run.manifest.data_hash
    for subnet, mean in found.items():
        assert mean == pytest.approx(run.result(subnet).mean_average_precision, abs=1e-4)
        assert mean == pytest.approx(alone(evaluator, subnet), abs=1e-4)


def test_what_is_known_is_not_computed_again(place: Place) -> None:
    """In the same process or another, known subnets cost nothing, unknown ones among them are all that is computed."""
    subnets = some(place.run, 6)
    first = Evaluator(place.run, place.dataset)
    assert first.known == {}
    before = first(subnets[:4])
    assert first(subnets[:4]) == before
    told = Told()
    second = Evaluator(place.run, place.dataset, on_progress=told)
    assert second.key == first.key
    assert second.known == {subnet.id: mean for subnet, mean in before.items()}
    assert second(subnets[:4]) == before
    assert told.counted("scoring clips") == 0
    after = second(subnets)
    assert ("batch norms", 2, 2) in told.said
    assert {subnet: after[subnet] for subnet in subnets[:4]} == before
    assert [path.name for path in second.path.parent.iterdir()] == [f"{second.key}.jsonl"]


def test_the_runs_hash_and_files_stay(place: Place) -> None:
    """Evaluations are added to a Run and change nothing of it."""
    before = {path.name: sha256(path) for path in place.run.folder.iterdir()}
    evaluator = Evaluator(place.run, place.dataset)
    evaluator(some(place.run, 2))
    after = {path.name: sha256(path) for path in place.run.folder.iterdir() if path.name != EVALUATIONS}
    assert after == before
    assert Run.open(place.run.folder).hash == place.run.hash


@pytest.mark.parametrize(("kill", "after"), [("batch norms", 1), ("scoring clips", 1), ("scoring clips", 2)])
def test_a_killed_evaluation_goes_on_where_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, kill: str, after: int
) -> None:
    """Statistics and scores that were on disk are not computed again, and the figures are those of a whole one."""
    monkeypatch.setattr(module, "EVALUATION_BATCH", 1)
    # One subnet's statistics at a time are put on disk.
    monkeypatch.setattr(module, "SHARE_S", 0.0)
    subnets = some(place.run, 4)
    with pytest.raises(KilledError):
        Evaluator(place.run, place.dataset, on_progress=Told(kill, after))(subnets)
    told = Told()
    resumed = Evaluator(place.run, place.dataset, on_progress=told)
    assert resumed.known == {}
    found = resumed(subnets)
    assert told.counted("batch norms") == (len(subnets) - after if kill == "batch norms" else 0)
    assert told.counted("scoring clips") == len(resumed.heard) - (after if kill == "scoring clips" else 0)
    for subnet, mean in found.items():
        assert mean == pytest.approx(place.run.result(subnet).mean_average_precision, abs=1e-4)
    assert [path.name for path in resumed.path.parent.iterdir()] == [f"{resumed.key}.jsonl"]


def test_what_was_evaluated_before_a_kill_is_known(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of subnets are written as soon as they are done."""
    monkeypatch.setattr(module, "GROUP_SUBNETS", 2)
    subnets = sorted(some(place.run, 6), key=lambda subnet: subnet.blocks)
    with pytest.raises(KilledError):
        Evaluator(place.run, place.dataset, on_progress=Told("scoring clips", 3))(subnets)
    assert list(Evaluator(place.run, place.dataset).known) == [subnet.id for subnet in subnets[:4]]


def test_fewer_clips_are_another_cache(place: Place) -> None:
    """A fixed choice of clips has figures and a key of its own; all clips and more than all are the same."""
    whole, two = (Evaluator(place.run, place.dataset, clips) for clips in (None, 2))
    assert (len(whole.heard), len(two.heard)) == (3, 2)
    assert whole.key != two.key == Evaluator(place.run, place.dataset, 2).key
    assert Evaluator(place.run, place.dataset, 99).key == whole.key
    subnets = some(place.run, 3)
    two(subnets)
    assert whole.known == {}
    assert two.known == {subnet.id: pytest.approx(alone(two, subnet), abs=1e-4) for subnet in subnets}
    again = whole.on(2)
    assert (again.key, again.known) == (two.key, two.known)


def test_other_weights_are_another_cache(place: Place) -> None:
    """A Run that was trained anew in the same folder knows nothing of the old figures."""
    first = Evaluator(place.run, place.dataset)
    first(some(place.run, 2))
    change_weights(place.run, lambda value: value * 1.5)
    second = Evaluator(Run.open(place.run.folder), place.dataset)
    assert second.key != first.key
    assert second.known == {}


def test_a_subnet_that_is_not_in_the_space_is_refused(place: Place) -> None:
    """Before anything is computed; the error names the ends of the space."""
    evaluator = Evaluator(place.run, place.dataset)
    for use in (evaluator, evaluator.complete):
        with pytest.raises(UserError, match=r"7\.7-12\.12-25 is not in space ew-ed-22x"):
            use([place.run.manifest.space.smallest, Subnet.parse("7.7-12.12-25")])
    assert evaluator.known == {}


def test_scores_that_are_no_numbers_are_told(place: Place) -> None:
    """A Run whose weights are not finite has no figures, and none are kept."""
    change_weights(place.run, lambda value: value * float("nan"))
    evaluator = Evaluator(Run.open(place.run.folder), place.dataset)
    with pytest.raises(UserError, match=r"scores of 2 subnets, .* are no numbers\. The weights of Run tiny"):
        evaluator(some(place.run, 2))
    assert evaluator.known == {}


def test_a_run_that_cannot_be_written_is_told_to_be_copied(place: Place) -> None:
    """What it knows is told all the same."""
    evaluator = Evaluator(place.run, place.dataset)
    found = evaluator(some(place.run, 1))
    shutil.move(place.run.folder / EVALUATIONS, place.run.folder / "elsewhere")
    (place.run.folder / EVALUATIONS).touch()
    assert evaluator(list(found)) == found
    with pytest.raises(UserError, match=r"cannot write .*Copy the Run's folder"):
        evaluator(some(place.run, 2))


def change_weights(run: Run, change: object) -> None:
    """Change the head of a Run's weights as if it had been trained so."""
    assert callable(change)
    weights = load_file(run.folder / WEIGHTS)
    save_file(weights | {"head.weight": change(weights["head.weight"])}, run.folder / WEIGHTS)
    hashes = {**run.manifest.sha256, WEIGHTS: sha256(run.folder / WEIGHTS)}
    run.manifest.model_copy(update={"sha256": hashes}).save(run.folder / MANIFEST)
