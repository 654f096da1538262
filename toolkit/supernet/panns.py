"""PANNs' public CNN10 checkpoint, a file that the user has, as the full network of a space at base width 64.

Source: Kong et al. (2020), audioset_tagging_cnn, class Cnn10. Proved by tests/supernet/test_panns.py, on a file of the
same names and shapes made in the test.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.space import Subnet, preset_space
from toolkit.supernet.norms import Moments, StoredNorms
from toolkit.supernet.supernet import Supernet, stem_steps, steps

PANNS_LABELS = 527


def load_panns(path: Path, space_name: str = "ew-ed-22x") -> tuple[Supernet, Subnet, StoredNorms]:
    """The full network with PANNs' weights, its subnet and the running statistics of the checkpoint as its norms.

    The file is read with `weights_only`: nothing in it is run.

    Raises:
        UserError: missing or not a checkpoint.
        MismatchError: it is not a CNN10; the first name or shape that differs is named.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"checkpoint {path} does not exist. Check the path.") from None
    except (UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise UserError(f"{path} is not a checkpoint of plain tensors: {str(error).splitlines()[0]}") from None
    model = checkpoint.get("model", checkpoint) if isinstance(checkpoint, dict) else {}
    space = preset_space(space_name, 64)
    net = Supernet(space, PANNS_LABELS)
    moments: dict[str, Moments] = {}
    weights = {
        "input_norm_weight": _take(model, "bn0.weight", (64,), path),
        "input_norm_bias": _take(model, "bn0.bias", (64,), path),
    }
    moments["input"] = _moments(model, "bn0", 64, path)
    for step in (*stem_steps(space), *steps(space.largest)):
        target = f"blocks.{step.block}.{step.layer}"
        source = f"conv_block{step.block + 1}."
        shape = tuple(net.get_parameter(f"{target}.weight").shape)
        weights[f"{target}.weight"] = _take(model, f"{source}conv{step.layer + 1}.weight", shape, path)
        norm = f"{source}bn{step.layer + 1}"
        weights[f"{target}.norm_weight"] = _take(model, f"{norm}.weight", shape[:1], path)
        weights[f"{target}.norm_bias"] = _take(model, f"{norm}.bias", shape[:1], path)
        moments[step.path] = _moments(model, norm, shape[0], path)
    for ours, theirs in (("hidden", "fc1"), ("head", "fc_audioset")):
        for kind in ("weight", "bias"):
            name = f"{ours}.{kind}"
            weights[name] = _take(model, f"{theirs}.{kind}", tuple(net.get_parameter(name).shape), path)
    net.load_state_dict(weights)
    return net.eval(), space.largest, StoredNorms(moments)


def _take(model: dict[str, Tensor], name: str, shape: tuple[int, ...], path: Path) -> Tensor:
    found = tuple(model[name].shape) if isinstance(model.get(name), Tensor) else None
    if found != shape:
        raise MismatchError(f"{path} is not PANNs' CNN10: {name} has shape {found}, expected {shape}.")
    return model[name]


def _moments(model: dict[str, Tensor], norm: str, channels: int, path: Path) -> Moments:
    mean = _take(model, f"{norm}.running_mean", (channels,), path)
    return mean, _take(model, f"{norm}.running_var", (channels,), path)
