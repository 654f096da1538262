"""Imprints say what the hidden layer makes of each label, and come back from their file as they were."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.tiny_run import TINY, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.specs.errors import UserError
from toolkit.specs.run import IMPRINTS, Run
from toolkit.supernet.weights import load_weights
from toolkit.train.batches import Batches
from toolkit.train.examples import gather
from toolkit.train.imprints import LISTENERS, Imprints, bare, listen, listeners, load_imprints, save_imprints


def test_means_and_covariance_are_those_of_the_crops() -> None:
    """A label's mean is over all subnets and its crops; no label is one more; a label that no crop has is left out."""
    hidden = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [0.0, 4.0]], [[1.0, 2.0], [3.0, 2.0], [0.0, 8.0]]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    imprints = Imprints.of(hidden, targets, ("Dog", "Cat"))
    assert imprints.labels == ("Dog", "")
    assert imprints.means.tolist() == [[2.0, 1.0], [0.0, 6.0]]
    assert imprints.covariance.flatten().tolist() == pytest.approx([4 / 6, 0, 0, 12 / 6])


def test_what_is_drawn_is_like_the_crops() -> None:
    """Drawn features are such as the hidden layer gives, not below zero, around the means, as correlated as the crops
    were, the same for one seed.
    """
    covariance = torch.tensor([[0.25, 0.4, 0.0], [0.4, 1.0, 0.0], [0.0, 0.0, 0.0]])
    imprints = Imprints(("Dog", "Cat"), torch.tensor([[5.0, 9.0, 2.0], [0.0, 9.0, 0.0]]), covariance)
    drawn = imprints.draw(4000, torch.Generator().manual_seed(3))
    assert drawn.shape == (2, 4000, 3)
    assert (drawn >= 0).all()
    torch.testing.assert_close(drawn[0].mean(0), imprints.means[0], atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(drawn[0].T), covariance, atol=0.05, rtol=0)
    assert torch.equal(drawn, imprints.draw(4000, torch.Generator().manual_seed(3)))


def test_joined_keeps_its_own() -> None:
    """Another Run's imprint of a label that is here does not replace it; its other labels are added."""
    here = Imprints(("Dog",), torch.ones(1, 2), torch.eye(2))
    there = Imprints(("Bell", "Dog"), torch.full((2, 2), 7.0), torch.eye(2) * 7)
    both = here.joined(there)
    assert both.labels == ("Dog", "Bell")
    assert both.means.tolist() == [[1.0, 1.0], [7.0, 7.0]]
    assert torch.equal(both.covariance, here.covariance)


def test_listening_hears_the_hidden_layer(tiny_run: Path) -> None:
    """The head on what is heard gives each subnet's own logits, and the listeners are few and hold both ends."""
    run = Run.open(tiny_run)
    net, norms = load_weights(run)
    space, every = net.space, tuple(net.space.subnets())
    chosen = listeners(space, every, seed=1)
    assert len(chosen) == LISTENERS
    assert {space.smallest, space.largest} <= {*chosen}
    assert chosen == [subnet for subnet in every if subnet in chosen]
    assert listeners(space, [space.largest], seed=1) == [space.largest]
    sounds = write_sounds(tiny_run.parent / "heard", {"Alarm": (2, 1), "Siren": (2, 1)}, background=1)
    recipe = TINY.model_copy(update={"generated": {}})
    batches = Batches(gather(recipe, load_dataset(sounds), lambda *_: None), recipe)
    hidden, targets = listen(net, norms, chosen, batches, 40, lambda *_: None)
    assert (hidden.shape, targets.shape) == ((LISTENERS, 40, space.hidden_units), (40, 2))
    frames = torch.from_numpy(batches.draw("imprints", 0, range(40)).masked)
    for row, subnet in enumerate(chosen):
        with torch.no_grad():
            torch.testing.assert_close(net.head(hidden[row]), net(frames, subnet, norms))
            torch.testing.assert_close(bare(net)(frames, subnet, norms), hidden[row])


def test_the_file_comes_back(tiny_run: Path, tmp_path: Path) -> None:
    """What was saved is loaded; a Run without the file has none; a damaged file is told."""
    run = Run.open(tiny_run)
    moved = Run(tmp_path, run.manifest, run.results)
    assert load_imprints(moved) is None
    imprints = Imprints(("Dog", ""), torch.rand(2, 5), torch.rand(5, 5))
    save_imprints(tmp_path, imprints)
    found = load_imprints(moved)
    assert found is not None
    for name, value in dataclasses.asdict(imprints).items():
        assert torch.equal(getattr(found, name), value) if torch.is_tensor(value) else getattr(found, name) == value
    (tmp_path / IMPRINTS).write_bytes((tmp_path / IMPRINTS).read_bytes()[:40])
    with pytest.raises(UserError, match="is damaged"):
        load_imprints(moved)
