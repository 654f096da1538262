"""A training's state on disk: one safetensors file, replaced whole, so that kill -9 costs one interval at most.

Proved by tests/train/test_resume.py (a training that is killed and resumed equals one that was left alone).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import new_file


def save_checkpoint(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer | None, progress: dict[str, Any]
) -> None:
    """Write weights, the optimizer's moments and `progress` (plain JSON values).

    Raises:
        UserError: the file cannot be written; the one before it is still there.
    """
    tensors: dict[str, Tensor] = {f"net.{name}": value.contiguous() for name, value in net.state_dict().items()}
    if optimizer is not None:
        for index, moments in optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value).contiguous()
    try:
        with new_file(path) as temporary:
            temporary.write_bytes(save(tensors, metadata={"progress": json.dumps(progress)}))
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}. What was saved before is kept: make room and --resume."
        ) from None


def load_checkpoint(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    """Fill `net` and `optimizer` from a checkpoint and return its progress.

    Raises:
        UserError: the file is missing or damaged.
        MismatchError: it belongs to another network.
    """
    progress = read_progress(path)
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        weights = {name.removeprefix("net."): file.get_tensor(name) for name in names if name.startswith("net.")}
        try:
            net.load_state_dict(weights)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            found = f"{path} holds another network: {first}"
            raise MismatchError(f"{found} Use the recipe that it was made with.") from None
        if optimizer is not None:
            state: dict[int, dict[str, Tensor]] = {}
            for name in names:
                if name.startswith("optimizer."):
                    _, index, moment = name.split(".")
                    state.setdefault(int(index), {})[moment] = file.get_tensor(name)
            optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return progress


def read_progress(path: Path) -> dict[str, Any]:
    """The progress in a checkpoint; raises UserError when it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            progress: dict[str, Any] = json.loads((file.metadata() or {})["progress"])
    except FileNotFoundError:
        raise UserError(f"checkpoint {path} does not exist. Start without --resume.") from None
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"checkpoint {path} is damaged ({error}). Remove it and start again.") from None
    return progress
