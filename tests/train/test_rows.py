"""New rows tell a new label from its counter-examples, those heard and those remembered, and are the optimum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from toolkit.train.imprints import Imprints
from toolkit.train.rows import fit_rows

UNITS = 6
OLD = ("Dog", "Cat")
REMEMBERED = Imprints(OLD, torch.eye(2, UNITS) * 4, torch.eye(UNITS) * 0.01)
"""Each old label excites a unit of its own."""


def old_head() -> nn.Linear:
    """Says yes to four in a label's unit, no to nothing."""
    head = nn.Linear(UNITS, 2)
    with torch.no_grad():
        head.weight.copy_(torch.eye(2, UNITS) * 3)
        head.bias.fill_(-6.0)
    return head


def crops(seed: int, *units: int) -> Tensor:
    """Features [2, 60, UNITS] of two subnets that are about 3 in these units, about nothing elsewhere."""
    x = torch.rand(2, 60, UNITS, generator=torch.Generator().manual_seed(seed)) * 0.2
    for unit in units:
        x[..., unit] += 3
    return x


def scores(rows: tuple[Tensor, Tensor], hidden: Tensor) -> Tensor:
    """Mean score of each row."""
    return torch.sigmoid(nn.functional.linear(hidden.flatten(0, 1), *rows)).mean(0)


def targets(*labels: int, count: int = 1) -> Tensor:
    """60 crops each of these labels; -1 is none of them."""
    return torch.cat(
        [nn.functional.one_hot(torch.tensor(label % (count + 1)), count + 1)[:count].repeat(60, 1) for label in labels]
    ).float()


def test_each_new_label_is_told_from_the_others() -> None:
    """A row says yes to its own crops, no to the other new label's, to background and to remembered sounds."""
    hidden = torch.cat([crops(1, 2), crops(2, 3), crops(3)], dim=1)
    rows = fit_rows(hidden, targets(0, 1, -1, count=2), old_head(), OLD, REMEMBERED, seed=0)
    for own, foreign, heard in ((0, 1, crops(4, 2)), (1, 0, crops(5, 3))):
        found = scores(rows, heard).tolist()
        assert found[own] > 0.8
        assert found[foreign] < 0.2
    for other in (crops(6), crops(7, 0), crops(8, 1)):
        assert scores(rows, other).max() < 0.2


def test_what_is_remembered_keeps_old_sounds_out() -> None:
    """Where only unit 4 beside a remembered sound's unit tells the new label, that sound alone is no false alarm."""
    hidden = torch.cat([crops(1, 4, 5), crops(3)], dim=1)
    like_a_dog = Imprints(("Dog",), torch.eye(UNITS)[5:] * 3, torch.eye(UNITS) * 0.01)
    with_memory = fit_rows(hidden, targets(0, -1), old_head(), OLD, like_a_dog, seed=0)
    without = fit_rows(hidden, targets(0, -1), old_head(), OLD, None, seed=0)
    assert scores(with_memory, crops(5, 5)) < 0.2
    assert scores(without, crops(5, 5)) > scores(with_memory, crops(5, 5)) + 0.1
    assert scores(with_memory, crops(6, 4, 5)) > 0.8


def test_what_the_run_hears_in_the_crops_is_no_counter_example() -> None:
    """A new label of crops that are told to be a dog, as they are, is told; were any dog against it, it would not."""
    hidden = torch.cat([crops(1, 0), crops(3)], dim=1)
    a_dog = Imprints(("Dog",), REMEMBERED.means[:1], REMEMBERED.covariance)
    a_stranger = Imprints(("Wolf",), REMEMBERED.means[:1], REMEMBERED.covariance)
    mine, against = (fit_rows(hidden, targets(0, -1), old_head(), OLD, known, seed=0) for known in (a_dog, a_stranger))
    assert scores(mine, crops(5, 0)) > 0.8
    assert scores(against, crops(5, 0)) < 0.7


def test_the_order_of_crops_is_nothing() -> None:
    """The same crops in another order give the same rows, as an optimum does and a path of steps does not."""
    hidden, wanted = torch.cat([crops(1, 2), crops(2, 3), crops(3)], dim=1), targets(0, 1, -1, count=2)
    order = torch.randperm(180, generator=torch.Generator().manual_seed(9))
    one = fit_rows(hidden, wanted, old_head(), OLD, REMEMBERED, seed=0)
    other = fit_rows(hidden[:, order], wanted[order], old_head(), OLD, REMEMBERED, seed=0)
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, atol=0.02, rtol=0.02)
