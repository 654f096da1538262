"""PANNs' public CNN10 checkpoint, a file that the user has, as a teacher or as the weights of a full network.

Source: Kong et al. (2020), audioset_tagging_cnn, class Cnn10. Proved by tests/supernet/test_panns.py, on a file of the
same names and shapes made in the test.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.space import Subnet, preset_space
from toolkit.supernet.norms import Moments, StoredNorms
from toolkit.supernet.supernet import Supernet, stem_steps, steps

PANNS_LABELS = 527


class PannsNet(Supernet):
    """CNN10 as PANNs runs it: 2x2 average pooling stands behind the last block too.

    The paper's network has it between blocks only, and so has what `StaticNet.extract` cuts out. To train a `Supernet`
    on from PANNs' weights, load this network's `state_dict` into it.
    """

    def classify(self, x: Tensor) -> Tensor:
        """Last feature map [B, C, T, F], T and F at least 2, to logits [B, L]."""
        return super().classify(functional.avg_pool2d(x, 2))


def load_panns(path: Path, space_name: str = "ew-ed-22x") -> tuple[PannsNet, Subnet, StoredNorms]:
    """PANNs' network at base width 64, its subnet and the running statistics of the checkpoint as its norms.

    The file is read with `weights_only`: nothing in it is run.

    Raises:
        UserError: missing or not a checkpoint.
        MismatchError: it is not a CNN10; the first name or shape that differs is named.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read checkpoint {path}: {error.strerror}. Check the path.") from None
    except Exception as error:  # noqa: BLE001 damaged bytes lead torch to nearly any error
        found = f"{path} is not a checkpoint of plain tensors ({type(error).__name__})"
        raise UserError(f"{found}: it is damaged, or holds code, which is never run. Copy PANNs' file anew.") from None
    model = checkpoint.get("model", checkpoint) if isinstance(checkpoint, dict) else {}
    model = model if isinstance(model, dict) else {}
    space = preset_space(space_name, 64)
    net = PannsNet(space, PANNS_LABELS)
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
