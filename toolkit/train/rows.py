"""New rows for a head whose body is trained: logistic regression on the hidden layer, to its one optimum.

No steps, no learning rate, no luck: the loss is convex, so the same crops give the same rows. A row starts from, and is
held near, the mean of the rows that are there, which says no to nearly everything. Sounds that the Run remembers are
counter-examples, except where it hears them in the new label's own crops ("My dog" may bark as any dog does).
Axis letters: K subnets, N crops, L new labels, M remembered sounds, H hidden units. Proved by tests/train/test_rows.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.train.imprints import Imprints

HELD = 0.01
"""Weight of a row's squared distance from the mean row. Of 0.001 to 1 the best by mAP; 0.003 to 0.03 do as well."""
HELD_WITHOUT_IMPRINTS = 1.0
"""Where nothing is remembered, the mean row alone knows what other sounds are like; 0.1 and 10 are worse."""
DRAWN = 128
"""Counter-examples of each remembered sound."""
ITERATIONS = 100


def fit_rows(
    hidden: Tensor, targets: Tensor, head: nn.Linear, head_labels: tuple[str, ...], imprints: Imprints | None, seed: int
) -> tuple[Tensor, Tensor]:
    """Weights [L, H] and biases [L] of new rows from hidden features [K, N, H] of crops with targets [N, L].

    Args:
        hidden, targets: of the crops.
        head, head_labels: the rows that are there.
        imprints: sounds to be told from; none for a Run that remembers none.
        seed: of what is drawn from the imprints.
    """
    crops, wanted = hidden.flatten(0, 1), targets.repeat(len(hidden), 1)
    mean_weight, mean_bias = head.weight.detach().mean(0), head.bias.detach().mean()
    weight = mean_weight.repeat(targets.shape[1], 1).requires_grad_()
    bias = mean_bias.repeat(targets.shape[1]).requires_grad_()
    held = HELD_WITHOUT_IMPRINTS
    others, counts = hidden.new_zeros(0, hidden.shape[2]), hidden.new_zeros(0, targets.shape[1])
    if imprints is not None:
        held = HELD
        others = imprints.draw(DRAWN, torch.Generator().manual_seed(seed)).flatten(0, 1)
        counts = _unlike(crops, wanted, head, head_labels, imprints).repeat_interleave(DRAWN, 0)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = functional.binary_cross_entropy_with_logits(functional.linear(crops, weight, bias), wanted)
        found = found + held * (weight - mean_weight).square().sum(1).mean()
        if len(others):
            found = found + (counts * functional.softplus(functional.linear(others, weight, bias))).mean()
        found.backward()
        return found

    optimizer.step(loss)
    return weight.detach(), bias.detach()


def _unlike(crops: Tensor, wanted: Tensor, head: nn.Linear, head_labels: tuple[str, ...], imprints: Imprints) -> Tensor:
    """How far each remembered sound is a counter-example to each new label [M, L]: 1 less its mean score there."""
    with torch.no_grad():
        scores = torch.sigmoid(head(crops))
        heard = torch.stack([scores[holds > 0].mean(0) for holds in wanted.T])
    known = {label: 1 - heard[:, row] for row, label in enumerate(head_labels)}
    return torch.stack([known.get(label, torch.ones(len(heard))) for label in imprints.labels])
