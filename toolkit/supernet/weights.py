"""Weights and norms of a Run: safetensors files, written once and read into a `Supernet`.

Proved by tests/supernet/test_weights.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import new_file
from toolkit.specs.run import NORMS, SEARCHED_NORMS, WEIGHTS, Run
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import Moments, StoredNorms
from toolkit.supernet.supernet import Supernet, steps


def round_to_half(net: Supernet) -> None:
    """Round the weights to what the float16 file will hold, so that evaluations are those of the file."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.half().float())


def save_weights(folder: Path, net: Supernet, norms: StoredNorms) -> None:
    """Write both files of a Run; an OSError says why one cannot be written, which safetensors' own writer does not."""
    with new_file(folder / WEIGHTS) as path:
        path.write_bytes(save({name: value.half().contiguous() for name, value in net.state_dict().items()}))
    save_moments(folder / NORMS, norms.moments)


def save_moments(path: Path, moments: Mapping[str, Moments]) -> None:
    """Write statistics by path, whole or not at all."""
    tensors = {
        f"{place}:{kind}": value.cpu().contiguous()
        for place, pair in moments.items()
        for kind, value in zip(("mean", "variance"), pair, strict=True)
    }
    with new_file(path) as file:
        file.write_bytes(save(tensors))


def load_moments(path: Path) -> dict[str, Moments]:
    """Statistics by path; raises UserError when the file is damaged."""
    tensors = _read(path)
    try:
        return {
            place: (tensors[f"{place}:mean"], tensors[f"{place}:variance"])
            for place in dict.fromkeys(name.rpartition(":")[0] for name in tensors)
        }
    except KeyError as error:
        raise UserError(f"{path} is damaged ({error} is missing). Copy the Run anew or train it again.") from None


def load_weights(run: Run) -> tuple[Supernet, StoredNorms]:
    """The Run's supernet, in evaluation mode, and its norms, those of subnets that were searched later among them.

    Raises:
        UserError: a file is damaged.
        MismatchError: the weights are of another space, label count or front end.
    """
    run.check_weights()
    manifest = run.manifest
    net = Supernet(manifest.space, len(manifest.labels), manifest.front_end.mel_bins)
    weights = {name: value.float() for name, value in _read(run.folder / WEIGHTS).items()}
    expected = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if found != expected:
        wrong = min(name for name in expected | found if expected.get(name) != found.get(name))
        raise MismatchError(
            f"{run.folder / WEIGHTS} holds another network: {wrong} has shape {found.get(wrong)}, expected "
            f"{expected.get(wrong)}. The Run's files do not belong together; copy it anew."
        )
    net.load_state_dict(weights)
    norms = load_moments(run.folder / NORMS)
    if run.searched:
        later = load_moments(run.folder / SEARCHED_NORMS)
        paths = {step.path for name in run.searched for step in steps(Subnet.parse(name))}
        norms = {path: later[path] for path in paths & later.keys()} | norms
    return net.eval(), StoredNorms(norms)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}). Copy the Run anew or train it again.") from None
