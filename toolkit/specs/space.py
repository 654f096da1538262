"""`SearchSpace` and `Subnet`: which networks the supernet holds, and one of them. No weights, no torch.

CNN10's blocks are described here and built in `toolkit.supernet`; nothing else knows the family.
Proved by tests/specs/test_space.py (counts against PAPER figures and against the built network).
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, model_validator

from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.record import Part

CLIP_SECONDS = 10
STREAM_CHUNK_FRAMES = 96
CONVOLUTIONS_PER_BLOCK = 2
KERNEL = 3
TIME_STRIDE = 8
"""Frames behind one decision: three 2x2 poolings."""

_WIDTH = "[1-9][0-9]{0,5}"
_BLOCK = rf"{_WIDTH}(\.{_WIDTH})*"


class Subnet(Part):
    """One point of a space: for each dynamic block the channels of each convolution it runs.

    Its id writes blocks between `-` and convolutions between `.`: `25.25-51.51-102` has depths 2, 2, 1.
    """

    blocks: tuple[tuple[int, ...], ...]

    @property
    def id(self) -> str:
        """Canonical text; `Subnet.parse(subnet.id) == subnet`."""
        return "-".join(".".join(str(width) for width in block) for block in self.blocks)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an id.

        Raises:
            UserError: the text is not a subnet id.
        """
        if not re.fullmatch(f"{_BLOCK}(-{_BLOCK})*", text):
            raise UserError(f"{text!r} is not a subnet id; one looks like 25.25-51.51-102 (channels of each layer).")
        return cls(blocks=tuple(tuple(int(width) for width in block.split(".")) for block in text.split("-")))

    def __str__(self) -> str:
        return self.id


class SearchSpace(Part):
    """CNN10 with elastic width and depth in blocks 2, 3 and 4; block 1 and the linear layers are static.

    `ratios` are the widths a dynamic block may take, as fractions of its full width (rounded down; equal ones are one);
    `depths` names, for each dynamic block, how many of its two convolutions may run.
    Source: Lin et al. (2023), section 2.2.

    With `channel_step` each convolution has a width of its own: the multiples of it from the least of `ratios` to the
    greatest.
    """

    family: Literal["cnn10"] = "cnn10"
    name: str
    base_width: int = Field(ge=1, le=1024)
    ratios: tuple[float, ...] = Field(min_length=1)
    depths: tuple[tuple[int, ...], ...] = Field(min_length=3, max_length=3)
    channel_step: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if any(not 0 < ratio <= 1 for ratio in self.ratios) or list(self.ratios) != sorted(set(self.ratios)):
            raise ValueError("ratios must rise within (0, 1]")
        if any(not block or not set(block) <= {1, 2} or list(block) != sorted(set(block)) for block in self.depths):
            raise ValueError("depths of a block must be (1,), (2,) or (1, 2)")
        if self._width(2, self.ratios[0]) < 1:
            raise ValueError(f"ratio {self.ratios[0]} of {2 * self.base_width} channels leaves none")
        if self.channel_step and 2 * self.base_width % self.channel_step:
            found = f"base width {self.base_width} has blocks of {2 * self.base_width} channels"
            raise ValueError(f"{found}, which is no multiple of the step of {self.channel_step}")
        return self

    @property
    def full_widths(self) -> tuple[int, int, int, int]:
        """Channels of the four blocks at ratio 1."""
        return self.base_width, 2 * self.base_width, 4 * self.base_width, 8 * self.base_width

    @property
    def hidden_units(self) -> int:
        """Units of the first linear layer: static, 8 x base width (512 in the paper)."""
        return 8 * self.base_width

    def _width(self, factor: int, ratio: float) -> int:
        return int(Fraction(str(ratio)) * factor * self.base_width)

    @cached_property
    def choices(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """For each dynamic block all it can be, from small to large."""
        every = (self._block(factor, depths) for factor, depths in zip((2, 4, 8), self.depths, strict=True))
        return tuple(tuple(dict.fromkeys(block)) for block in every)

    def _block(self, factor: int, depths: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if self.channel_step is None:
            return ((self._width(factor, ratio),) * depth for ratio in self.ratios for depth in depths)
        step, ends = self.channel_step, (self.ratios[0], self.ratios[-1])
        least, most = (-(-self._width(factor, ratio) // step) * step for ratio in ends)
        widths = range(least, most + 1, step)
        return (block for depth in depths for block in itertools.product(widths, repeat=depth))

    def subnets(self) -> Iterator[Subnet]:
        """Every subnet of the space, in a fixed order; neighbours share the longest prefixes."""
        return (Subnet(blocks=blocks) for blocks in itertools.product(*self.choices))

    def __len__(self) -> int:
        return len(self.choices[0]) * len(self.choices[1]) * len(self.choices[2])

    def __contains__(self, subnet: Subnet) -> bool:
        return len(subnet.blocks) == len(self.choices) and all(
            block in choices for block, choices in zip(subnet.blocks, self.choices, strict=True)
        )

    @property
    def largest(self) -> Subnet:
        """Every block at its greatest width and depth."""
        return Subnet(blocks=tuple(max(choices, key=sum) for choices in self.choices))

    @property
    def smallest(self) -> Subnet:
        """Every block at its least width and depth."""
        return Subnet(blocks=tuple(min(choices, key=sum) for choices in self.choices))

    def sample(self, rng: random.Random) -> Subnet:
        """A subnet drawn uniformly: each block's width and depth on their own."""
        return Subnet(blocks=tuple(rng.choice(choices) for choices in self.choices))

    def evaluated(self, limit: int, seed: int) -> tuple[Subnet, ...]:
        """The subnets that a Run keeps figures of: all, or the ends and a sample; neighbours share long prefixes."""
        if len(self) <= limit:
            return tuple(self.subnets())
        rng = random.Random(seed)
        chosen = {self.smallest, self.largest}
        while len(chosen) < limit:
            chosen.add(self.sample(rng))
        return tuple(sorted(chosen, key=lambda subnet: subnet.blocks))

    def parse(self, text: str) -> Subnet:
        """Read a subnet id or the words `largest` and `smallest`.

        Raises:
            UserError: it is no id, or not a point of this space.
        """
        if text in ("largest", "smallest"):
            return self.largest if text == "largest" else self.smallest
        subnet = Subnet.parse(text)
        if subnet not in self:
            raise UserError(
                f"subnet {text} is not in space {self.name} at base width {self.base_width}; its largest is "
                f"{self.largest} and its smallest {self.smallest}."
            )
        return subnet

    def layers(
        self, subnet: Subnet, front_end: FrontEndSpec, label_count: int, mode: Mode = "clip"
    ) -> tuple[Layer, ...]:
        """The subnet as plain descriptions, in the order they run (front end left out in `frames` mode)."""
        layers, channels = list(self.opening(front_end, mode)), self.base_width
        for number, block in enumerate(subnet.blocks, start=1):
            for width in block:
                layers.append(self.convolution(number, channels, width, front_end, mode))
                channels = width
            layers += self.closing(number, channels, front_end, label_count, mode)
        return tuple(layers)

    def opening(self, front_end: FrontEndSpec, mode: Mode) -> tuple[Layer, ...]:
        """What stands before the first dynamic block, the same for all subnets."""
        frames, bins = mode_frames(front_end, mode), front_end.mel_bins
        one = {"channels_in": 1, "channels_out": 1, "frames": frames, "bins": bins}
        layers = [Layer(operator="front_end", mode=mode, **one)] if mode != "frames" else []
        layers.append(Layer(operator="scale", mode=mode, **one))
        layers += [self.convolution(0, width, self.base_width, front_end, mode) for width in (1, self.base_width)]
        return (*layers, *self.closing(0, self.base_width, front_end, 1, mode))

    def convolution(
        self, block: int, channels_in: int, channels_out: int, front_end: FrontEndSpec, mode: Mode
    ) -> Layer:
        """A convolution of a block; 0 is the static one, dynamic blocks count from 1."""
        frames, bins = mode_frames(front_end, mode) >> block, front_end.mel_bins >> block
        channels = {"channels_in": channels_in, "channels_out": channels_out}
        return Layer(operator="conv2d", kernel=KERNEL, frames=frames, bins=bins, mode=mode, **channels)

    def closing(
        self, block: int, channels: int, front_end: FrontEndSpec, label_count: int, mode: Mode
    ) -> tuple[Layer, ...]:
        """What follows the last convolution of a block; behind the last block, all to the scores."""
        frames, bins = mode_frames(front_end, mode) >> block, front_end.mel_bins >> block
        shape = {"channels_in": channels, "channels_out": channels, "frames": frames, "bins": bins}
        if block < len(self.choices):
            return (Layer(operator="avg_pool2d", kernel=2, stride=2, mode=mode, **shape),)
        ways = ((channels, self.hidden_units), (self.hidden_units, label_count))
        return (
            Layer(operator="global_pool", mode=mode, **shape),
            *(
                Layer(operator="linear", channels_in=units_in, channels_out=units_out, frames=1, bins=1, mode=mode)
                for units_in, units_out in ways
            ),
        )

    def all_layers(self, front_end: FrontEndSpec, label_count: int, mode: Mode = "clip") -> tuple[Layer, ...]:
        """Each different layer of the whole space once: the rows of a cost table."""
        every = (layer for one in self._covering() for layer in self.layers(one, front_end, label_count, mode))
        return tuple(dict.fromkeys(every))

    def _covering(self) -> Iterator[Subnet]:
        """Subnets that hold between them every layer of the space.

        A layer is known by its place, what it takes in and what it gives. So each block is met once, and each width
        that a block ends with once before each width that the next one begins with.
        """
        largest = self.largest.blocks
        for first, (blocks, followers) in enumerate(itertools.pairwise(self.choices)):
            openings = tuple({block[0]: block for block in reversed(followers)}.values())[::-1]
            ends: set[int] = set()
            for block in blocks:
                met = followers if not ends else followers[:1] if block[-1] in ends else openings
                ends.add(block[-1])
                for follower in met:
                    yield Subnet(blocks=(*largest[:first], block, follower, *largest[first + 2 :]))

    def params(self, subnet: Subnet, label_count: int, front_end: FrontEndSpec | None = None) -> int:
        """Trainable parameters of the subnet, exact."""
        front_end = front_end or FrontEndSpec()
        return sum(layer.params for layer in self.layers(subnet, front_end, label_count))

    def macs(self, subnet: Subnet, front_end: FrontEndSpec, label_count: int, mode: Mode = "clip") -> int:
        """Multiply-accumulates of one inference, exact, front end left out."""
        return sum(layer.macs for layer in self.layers(subnet, front_end, label_count, mode))


def mode_frames(front_end: FrontEndSpec, mode: Mode) -> int:
    """Log-mel frames of one inference: 10 s in `clip` and `frames`, 96 in `stream`."""
    if mode == "stream":
        return STREAM_CHUNK_FRAMES
    return front_end.frames(CLIP_SECONDS * front_end.sample_rate_hz)


_PRESETS: dict[str, tuple[tuple[float, ...], tuple[tuple[int, ...], ...], int | None]] = {
    "ew-ed-22x": ((0.4, 0.6, 0.8, 1.0), ((2,), (2,), (1, 2)), None),
    "ew-ed-2xx": ((0.4, 0.6, 0.8, 1.0), ((2,), (1, 2), (1, 2)), None),
    "ew-ed-xxx": ((0.4, 0.6, 0.8, 1.0), ((1, 2), (1, 2), (1, 2)), None),
    "ew-only": ((0.2, 0.4, 0.6, 0.8, 1.0), ((2,), (2,), (2,)), None),
    "ew-layerwise": ((0.2, 1.0), ((2,), (2,), (2,)), 8),
}
PRESETS = tuple(_PRESETS)
PAPER_PRESETS = tuple(name for name, (*_, step) in _PRESETS.items() if step is None)
"""Small enough to be gone through subnet by subnet."""


def preset_space(name: str = "ew-ed-22x", base_width: int = 64) -> SearchSpace:
    """A space of the paper by name, or `ew-layerwise`, where each convolution has a width of its own.

    Raises:
        UserError: no such preset, or the base width does not do for it.
    """
    if name not in _PRESETS:
        raise UserError(f"unknown space {name!r}; known: {', '.join(PRESETS)}.")
    ratios, depths, step = _PRESETS[name]
    return SearchSpace(name=name, base_width=base_width, ratios=ratios, depths=depths, channel_step=step)
