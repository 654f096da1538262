"""`Imprints`: what a Run remembers of the sounds it was trained on, so that new labels can be told from them.

For each label the mean of the hidden layer over training crops as some subnets hear them, and for all labels together
how such crops lie around their mean; no feature of a recording. Sounds like them are drawn when a Run learns labels of
somebody else's (`toolkit.train.adapt`), whose recordings hold no counter-examples of them.
Axis letters: K subnets, N crops, L labels, H hidden units. Proved by tests/train/test_imprints.py.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from toolkit.specs.errors import UserError
from toolkit.specs.files import new_file
from toolkit.specs.run import IMPRINTS, Run
from toolkit.specs.space import SearchSpace, Subnet
from toolkit.supernet.norms import StoredNorms, walk
from toolkit.supernet.supernet import Supernet
from toolkit.train.batches import Batches

LISTENERS = 8
"""Subnets whose hidden layers are listened to: both ends of the space, the others drawn."""
CROPS_PER_LABEL = 64
"""On which imprints rest, background counting as one more label."""
STAGE = "imprints"
BATCH_CROPS = 32


@dataclass(frozen=True, eq=False)
class Imprints:
    """Means [L, H] of the hidden layer for each of `labels` ("" is background), and the covariance [H, H] around them.

    Drawn with its correlations, a sound is as good a counter-example as a crop of a real one; drawn unit by unit it is
    not (three pairs of labels added to the default Run: mAP 0.81, 0.80 and 0.78).
    """

    labels: tuple[str, ...]
    means: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, hidden: Tensor, targets: Tensor, labels: Sequence[str]) -> Imprints:
        """Imprints of hidden features [K, N, H] of crops with targets [N, L]; labels that no crop has are left out."""
        names = (*labels, "")
        holds = torch.cat([targets > 0, (targets == 0).all(1, keepdim=True)], dim=1)
        kept = [column for column in range(len(names)) if holds[:, column].any()]
        crops = [hidden[:, holds[:, column]].flatten(0, 1) for column in kept]
        means = torch.stack([some.mean(0) for some in crops])
        around = torch.cat([some - mean for some, mean in zip(crops, means, strict=True)])
        return cls(tuple(names[column] for column in kept), means, around.T @ around / len(around))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Hidden features [L, count, H] that could have been."""
        variances, axes = torch.linalg.eigh(self.covariance)
        noise = torch.randn(len(self.labels), count, len(variances), generator=generator)
        return torch.relu(self.means[:, None] + noise @ (axes * variances.clamp(min=0).sqrt()).T)

    def joined(self, other: Imprints) -> Imprints:
        """These, and those of `other` whose labels are not here; the covariance stays."""
        added = [place for place, label in enumerate(other.labels) if label not in self.labels]
        labels = (*self.labels, *(other.labels[place] for place in added))
        return Imprints(labels, torch.cat([self.means, other.means[added]]), self.covariance)


def listen(
    net: Supernet,
    norms: StoredNorms,
    subnets: Sequence[Subnet],
    batches: Batches,
    crops: int,
    on_progress: Callable[[int, int], None],
) -> tuple[Tensor, Tensor]:
    """Hidden features [K, N, H] of some subnets on augmented crops, and the crops' targets [N, L]."""
    body = bare(net)
    heard: dict[str, list[Tensor]] = {subnet.id: [] for subnet in subnets}
    targets = []
    for start in range(0, crops, BATCH_CROPS):
        batch = batches.draw(STAGE, 0, range(start, min(start + BATCH_CROPS, crops)))
        for subnet, hidden in walk(body, torch.from_numpy(batch.masked), subnets, norms):
            heard[subnet.id].append(hidden)
        targets.append(torch.from_numpy(batch.targets))
        on_progress(min(start + BATCH_CROPS, crops), crops)
    return torch.stack([torch.cat(parts) for parts in heard.values()]), torch.cat(targets)


def bare(net: Supernet) -> Supernet:
    """The same network with a head that passes the hidden layer on."""
    units = net.space.hidden_units
    body = Supernet(net.space, units, len(net.input_norm_weight))
    body.load_state_dict(net.state_dict() | {"head.weight": torch.eye(units), "head.bias": torch.zeros(units)})
    return body.eval()


def listeners(space: SearchSpace, subnets: Sequence[Subnet], seed: int) -> list[Subnet]:
    """At most `LISTENERS` of the subnets, in their order."""
    ends = [subnet for subnet in (space.smallest, space.largest) if subnet in subnets]
    others = [subnet for subnet in subnets if subnet not in ends]
    drawn = random.Random(seed).sample(others, min(len(others), LISTENERS - len(ends)))
    return [subnet for subnet in subnets if subnet in ends or subnet in drawn]


def save_imprints(folder: Path, imprints: Imprints) -> None:
    """Write the file of a Run."""
    tensors = {"means": imprints.means.contiguous(), "covariance": imprints.covariance.contiguous()}
    with new_file(folder / IMPRINTS) as path:
        path.write_bytes(save(tensors, metadata={"labels": json.dumps(imprints.labels)}))


def load_imprints(run: Run) -> Imprints | None:
    """Those of a Run; None for one that was written without.

    Raises:
        UserError: the file is damaged.
    """
    path = run.folder / IMPRINTS
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            labels = tuple(json.loads((file.metadata() or {})["labels"]))
            return Imprints(labels, file.get_tensor("means"), file.get_tensor("covariance"))
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}). Copy the Run anew or train it again.") from None
