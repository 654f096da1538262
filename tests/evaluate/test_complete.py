"""A searched subnet gets what the training would have given it, and the Run stays what it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.evaluate.conftest import Place
from tests.supernet.built import log_mel
from tests.tiny_run import TINY, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.evaluate.evaluator import Evaluator
from toolkit.progress import Progress
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import sha256
from toolkit.specs.run import SEARCHED, SEARCHED_NORMS, SUBNETS, Run, write_results
from toolkit.specs.space import Subnet
from toolkit.supernet.static import StaticNet
from toolkit.supernet.weights import load_weights
from toolkit.train.train import train

FORGOTTEN = ("6.6-12.12-51.51", "12.12-12.12-64", "16.16-32.32-25")


def forget(run: Run, *names: str) -> Run:
    """A Run that does not know some of its subnets."""
    write_results(run.folder / SUBNETS, [result for name, result in run.results.items() if name not in names])
    return Run.open(run.folder)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A Run that knows seven subnets, with enough recordings of each label for thresholds to be fitted."""
    folder = tmp_path_factory.mktemp("fitted")
    sounds = write_sounds(folder / "sounds", dict.fromkeys(("Alarm", "Siren", "Dog"), (2, 8)))
    recipe = TINY.model_copy(update={"evaluated_subnets": 7})
    with Progress() as progress:
        return Place(train(recipe, load_dataset(sounds), folder / "run", progress=progress), sounds)


def test_a_subnet_that_the_run_forgot_comes_back(fitted: Place) -> None:
    """Results, statistics and so the exported network are those of the training; hash and files of the Run stay."""
    whole, whole_norms = fitted.run, load_weights(fitted.run)[1]
    assert any(decision.calibrated for decision in whole.manifest.decisions)
    space = whole.manifest.space
    by_size = sorted(map(Subnet.parse, whole.results), key=lambda subnet: space.params(subnet, 3))
    forgotten = [by_size[1], by_size[5]]  # what labels share was fitted on the first, the fourth and the last
    run = forget(whole, *(subnet.id for subnet in forgotten))
    before = {path.name: sha256(path) for path in run.folder.iterdir() if path.is_file()}
    completed = Evaluator(run, fitted.dataset).complete(forgotten)
    again = Run.open(run.folder)
    assert again.hash == run.hash
    assert again.searched == {subnet.id for subnet in forgotten}
    assert {name: sha256(run.folder / name) for name in before} == before
    net, norms = load_weights(again)
    frames = log_mel(2, 32, seed=1, mel_bins=64)
    for subnet in forgotten:
        found, wanted = completed[subnet], whole.result(subnet)
        assert again.result(subnet) == found
        assert found.mean_average_precision == pytest.approx(wanted.mean_average_precision, abs=1e-4)
        assert (found.thresholds, found.event_f1) == (wanted.thresholds, wanted.event_f1)
        assert found.false_alarms_per_hour == wanted.false_alarms_per_hour
        assert found.ranges.keys() == wanted.ranges.keys()
        np.testing.assert_allclose(list(found.ranges.values()), list(wanted.ranges.values()), atol=1e-4, rtol=1e-4)
        with torch.no_grad():
            scored, expected = (StaticNet.extract(net, subnet, each)(frames) for each in (norms, whole_norms))
        torch.testing.assert_close(scored, expected, atol=1e-5, rtol=1e-5)


def test_subnets_are_added_to_those_searched_before(place: Place) -> None:
    """One after the other gives what all at once give; those that the Run knows are left as they are."""
    run = forget(place.run, *FORGOTTEN)
    evaluator = Evaluator(run, place.dataset)
    first, *others = (Subnet.parse(name) for name in FORGOTTEN)
    evaluator.complete([first])
    line = (run.folder / SEARCHED).read_bytes()
    known = run.manifest.space.largest
    assert evaluator.complete([first, known])[known] == run.result(known)
    assert (run.folder / SEARCHED).read_bytes() == line
    evaluator.complete(others)
    again = Run.open(run.folder)
    assert list(again.results)[-3:] == list(FORGOTTEN)
    assert (run.folder / SEARCHED).read_bytes().startswith(line)
    net, norms = load_weights(again)
    for name in FORGOTTEN:
        StaticNet.extract(net, Subnet.parse(name), norms)


def test_other_data_than_the_trainings_are_refused(place: Place, tmp_path: Path) -> None:
    """Statistics and thresholds would be of other sounds than those of the other subnets."""
    run = forget(place.run, *FORGOTTEN)
    sounds = shutil.copytree(place.sounds, tmp_path / "sounds")
    (clip,) = sounds.glob("Dog-train-0.wav")
    clip.write_bytes(clip.read_bytes() + b"\0\0")
    evaluator = Evaluator(run, load_dataset(sounds))
    with pytest.raises(MismatchError, match=r"the data have hash .*, Run tiny was trained on .*--data"):
        evaluator.complete([Subnet.parse(FORGOTTEN[0])])
    assert not (run.folder / SEARCHED).exists()


def test_killed_before_the_lines_are_written_nothing_was_searched(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statistics without a line change nothing, and the next call completes the subnet."""
    run = forget(place.run, *FORGOTTEN)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    evaluator, subnet = Evaluator(run, place.dataset), Subnet.parse(FORGOTTEN[0])
    before = set(load_weights(run)[1].moments)
    with monkeypatch.context() as patched:
        patched.setattr("toolkit.evaluate.complete.write_searched", killed)
        with pytest.raises(KeyboardInterrupt):
            evaluator.complete([subnet])
    assert (run.folder / SEARCHED_NORMS).exists()
    again = Run.open(run.folder)
    assert again.searched == frozenset()
    assert set(load_weights(again)[1].moments) == before
    assert evaluator.complete([subnet])[subnet].subnet == subnet.id


def test_a_run_that_cannot_be_written_is_told_to_be_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is computed."""
    run = forget(place.run, *FORGOTTEN)
    evaluator = Evaluator(run, place.dataset)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match=r"cannot write .*: Permission denied. Copy the Run's folder"):
        evaluator.complete([Subnet.parse(FORGOTTEN[0])])
