"""Quantization-aware fine-tuning: a subnet learns to say in int8 what it says in float. Labels are not needed.

The activations keep the Run's ranges; weights are rounded per channel, as the converters round them, while they learn.
For subnets that lose more than `verify` allows. Proved by tests/export/test_qat.py.
Source: B. Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
(2018).
Axis letters: B batch, C channels, T frames, F mel bins, L labels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from toolkit.audio.clip import Clip, file_size
from toolkit.audio.clips import decode_all
from toolkit.audio.dataset import Dataset, load_dataset
from toolkit.audio.decode import AUDIO_SUFFIXES
from toolkit.frontend import LogMel
from toolkit.lower.ranges import HIGHEST, LOWEST, SMALLEST_SCALE, int8_scale
from toolkit.specs.errors import UserError
from toolkit.specs.run import Range
from toolkit.supernet.static import StaticNet, channels_last
from toolkit.train.features import log_mel

STEPS, BATCH, CROP_FRAMES, LEARNING_RATE, SEED = 300, 16, 256, 1e-4, 1
MAX_CLIPS = 500

Say = Callable[[str, int, int], None]


def quantization_aware(
    net: StaticNet, ranges: Mapping[str, Range], clips: Sequence[np.ndarray], say: Say, steps: int = STEPS
) -> StaticNet:
    """A copy of `net` whose int8 version is nearer to it.

    Args:
        net: the float subnet, which stays as it is and teaches.
        ranges: of its taps.
        clips: log-mel [T, F] of any sounds.
        say: progress.
        steps: of `BATCH` crops each.
    """
    learner = copy.deepcopy(net).requires_grad_(requires_grad=True)
    optimizer = torch.optim.Adam(learner.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    rng = np.random.default_rng(SEED)
    for step in range(steps):
        frames = torch.from_numpy(np.stack([_crop(rng, clips) for _ in range(BATCH)]))[:, None]
        with torch.no_grad():
            wanted = torch.sigmoid(net.taps(frames)["logits"])
        loss = functional.binary_cross_entropy_with_logits(rounded_logits(learner, ranges, frames), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        say("quantization-aware training", step + 1, steps)
    return learner.requires_grad_(requires_grad=False).eval()


def rounded_logits(net: StaticNet, ranges: Mapping[str, Range], frames: Tensor) -> Tensor:
    """Logits [B, L] of log-mel [B, 1, T, F] with weights and activations rounded as in int8, gradients as if not."""

    def rounded(name: str, x: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x, *int8_scale(ranges[name]), LOWEST, HIGHEST)

    x = rounded("scale", net.scale(frames))
    for number, conv in enumerate(net.convs, start=1):
        x = functional.conv2d(x, _rounded_weight(conv.conv), conv.conv.bias, padding="same")
        x = rounded(f"conv{number}", functional.relu(x))
        if number in net.pool_after:
            x = net.pool(x)
    pooled = rounded("frequency_mean", channels_last(x).mean(2))
    x = rounded("pooled", rounded("time_max", pooled.amax(1)) + rounded("time_mean", pooled.mean(1)))
    x = rounded("hidden", functional.relu(functional.linear(x, _rounded_weight(net.hidden), net.hidden.bias)))
    return functional.linear(x, net.head.weight, net.head.bias)  # stays float in the files too


def _rounded_weight(layer: nn.Conv2d | nn.Linear) -> Tensor:
    """One scale for each channel that comes out."""
    weight = layer.weight
    scales = weight.detach().abs().flatten(1).amax(1).clamp(min=SMALLEST_SCALE) / HIGHEST
    zeros = torch.zeros(len(scales), dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -HIGHEST, HIGHEST)


def _crop(rng: np.random.Generator, clips: Sequence[np.ndarray]) -> np.ndarray:
    clip = clips[int(rng.integers(len(clips)))]
    start = int(rng.integers(len(clip) - CROP_FRAMES + 1))
    return np.asarray(clip[start : start + CROP_FRAMES], np.float32)


def data_to_hear(path: Path) -> Dataset:
    """The dataset at `path`, or the sounds in a folder of nothing else: labels are not needed.

    Raises:
        UserError: as `load_dataset` does.
    """
    there = sorted(path.glob("[!.]*")) if path.is_dir() else []
    if there and all(file.suffix.lower() in AUDIO_SUFFIXES for file in there):
        return Dataset(tuple(Clip(file, file.name, (), "train", file.name, file_size(file)) for file in there), ())
    return load_dataset(path)


def training_clips(dataset: Dataset, front_end: LogMel, say: Say) -> list[np.ndarray]:
    """Log-mel [T, F] of at most `MAX_CLIPS` clips of the split `train`, short ones repeated to a crop's length.

    Raises:
        UserError: there are none, or none of them decodes.
    """
    clips = dataset.subset(split="train").clips
    if not clips:
        raise UserError("--qat needs clips to listen to: the data has none in its split `train`.")
    chosen = np.random.default_rng(SEED).permutation(len(clips))[:MAX_CLIPS]
    rate = front_end.spec.sample_rate_hz
    unlabelled = [replace(clips[i], labels=()) for i in sorted(chosen)]
    decoded = decode_all(unlabelled, rate, on_progress=lambda n, of: say("decoding", n, of))
    features = [log_mel(front_end, item.waveform) for item in decoded.clips if len(item.waveform)]
    if not features:
        raise UserError(
            f"--qat needs clips to listen to: of the {len(chosen)} clips in the data's split `train` none decodes."
        )
    return [np.concatenate([each] * -(-CROP_FRAMES // len(each))) for each in features]
