"""Batch norm over processes is batch norm over the whole batch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed
from torch.testing import assert_close

from tests.gloo import PROCESSES, in_processes
from tests.supernet.built import log_mel, supernet
from toolkit.supernet.supernet import Normalizer, batch_norm
from toolkit.train.sync_norm import shared_batch_norm

CROPS = 6
CONSTANT_DB = -50.7


def outputs_and_gradients(frames: Tensor, normalize: Normalizer) -> dict[str, Tensor]:
    """Logits of two subnets, and the gradients of their squares' sum at the input and at every weight."""
    net = supernet("ew-ed-xxx").requires_grad_(requires_grad=True)
    frames = frames.clone().requires_grad_()
    logits = torch.cat(net.together(frames, (net.space.largest, net.space.smallest), normalize), 1)
    logits.square().sum().backward()
    weights = {name: value.grad for name, value in net.named_parameters() if value.grad is not None}
    assert frames.grad is not None
    return {"logits": logits.detach(), "frames": frames.grad, **weights}


def part(folder: str) -> None:
    """What one of the processes sees of the batch, and of a batch with a bin that never changes."""
    rank = int(os.environ["RANK"])
    distributed.init_process_group("gloo")
    frames = log_mel(CROPS, 16, seed=5).chunk(PROCESSES)[rank]
    found = outputs_and_gradients(frames, shared_batch_norm)
    channels = frames.transpose(1, 3).clone()
    channels[:, 3] = CONSTANT_DB
    found["constant"] = shared_batch_norm(channels, torch.ones(16), torch.zeros(16), "input")[:, 3]
    save_file({name: value.contiguous() for name, value in found.items()}, Path(folder, f"{rank}.safetensors"))
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("gloo")
    in_processes(f"{__name__}:part", folder)
    return [load_file(folder / f"{rank}.safetensors") for rank in range(PROCESSES)]


def test_two_processes_with_half_a_batch_equal_one_with_all_of_it(parts: list[dict[str, Tensor]]) -> None:
    """Logits and input gradients are the two halves of one process's; weight gradients add up to them."""
    for name, value in outputs_and_gradients(log_mel(CROPS, 16, seed=5), batch_norm).items():
        halves = [found[name] for found in parts]
        together = torch.cat(halves) if name in ("logits", "frames") else sum(halves[1:], halves[0])
        scale = value.abs().max()
        assert_close(together / scale, value / scale, atol=1e-5, rtol=1e-5)


def test_a_bin_that_never_changes_is_zero(parts: list[dict[str, Tensor]]) -> None:
    """Its variance is nought, far below the rounding of its squared level; it does not explode."""
    for found in parts:
        assert found["constant"].abs().max() < 0.01
