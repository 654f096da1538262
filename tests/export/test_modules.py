"""Front end and subnet in one graph give what both give one after the other; every int8 tensor finds its range."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.supernet.built import LABELS, known
from toolkit.export.modules import ClipModule, StreamModule, piece, tap_ranges
from toolkit.frontend import LogMel
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.run import Range
from toolkit.supernet.static import StaticNet
from toolkit.supernet.streaming import StreamingNet

FRONT_END = LogMel(FrontEndSpec())
HOP = 96 * 320


@cache
def static_net(which: str = "smallest") -> StaticNet:
    """A subnet with random weights and norms, for 64 mel bins."""
    net, _, norms = known("ew-ed-22x", 64)
    return StaticNet.extract(net, net.space.parse(which), norms).requires_grad_(requires_grad=False)


@cache
def ranges(which: str) -> dict[str, Range]:
    """A range of its own for each tap of the subnet."""
    taps = static_net(which).taps(torch.zeros(1, 1, 16, 64))
    return {name: (-float(number), float(number)) for number, name in enumerate(taps, start=1)}


def noise(samples: int) -> Tensor:
    """Waveform [1, samples]."""
    return 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(2))


def test_a_clip_module_is_the_front_end_then_the_subnet() -> None:
    """Scores of a waveform are those of its log-mel, and the taps follow in the order asked for."""
    net, waveform = static_net(), noise(32_000)
    scores, logits, scale = ClipModule(FRONT_END, net, ("logits", "scale"))(waveform)
    log_mel = FRONT_END(waveform)
    assert_close(scores, net(log_mel))
    assert_close(torch.sigmoid(logits), scores)
    assert_close(scale, net.scale(log_mel))


def test_a_stream_module_is_the_front_ends_stream_then_the_subnets() -> None:
    """Over three chunks: scores, log-mel and every state are those of the two streams one after the other."""
    streaming = StreamingNet(static_net(), FRONT_END.delay_frames)
    module = StreamModule(FRONT_END, streaming)
    together = (FRONT_END.initial_state(), *streaming.initial_state())
    before, state = FRONT_END.initial_state(), streaming.initial_state()
    for chunk in noise(3 * HOP).split(HOP, dim=1):
        scores, log_mel, *next_state = module(chunk, *together)
        frames, before = FRONT_END.stream(chunk, before)
        expected, *after = streaming(frames, *state)
        together, state = tuple(next_state), tuple(after)
        assert scores.shape == (1, LABELS)
        assert log_mel.shape == (1, 1, 96, 64)
        for found, wanted in zip((scores, log_mel, *together), (expected, frames, before, *state), strict=True):
            assert_close(found, wanted)


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("mode", ["clip", "stream"])
def test_a_piece_names_all_that_it_takes_and_gives(mode: Mode, which: str) -> None:
    """A name for each input and result, the audio first and the scores first; a state leaves as it came, as `next_`."""
    made = piece(mode, FRONT_END, static_net(which))
    results = made.module(*made.example_inputs)
    assert len(results) == len(made.output_names) + len(made.tap_names)
    assert (made.input_names[0], made.output_names[0]) == ("samples", "scores")
    given = {
        name: value.shape for name, value in zip(made.output_names, results[: len(made.output_names)], strict=True)
    }
    state = list(zip(made.input_names[1:], made.example_inputs[1:], strict=True))
    assert bool(state) == (mode == "stream")
    assert [given[f"next_{name}"] for name, _ in state] == [value.shape for _, value in state]


def test_a_frames_piece_is_the_subnet_alone() -> None:
    """Log-mel of 10 s in, the scores that the clip piece gives on the same sound out."""
    made, waveform = piece("frames", FRONT_END, static_net()), noise(320_000)
    (given,) = made.example_inputs
    log_mel = FRONT_END(waveform)
    assert (made.input_names, made.output_names, given.shape) == (("log_mel",), ("scores",), log_mel.shape)
    assert_close(made.module(log_mel)[0], piece("clip", FRONT_END, static_net()).module(waveform)[0])


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("mode", ["clip", "stream"])
def test_every_tap_has_the_range_of_what_it_holds(mode: Mode, which: str) -> None:
    """A tap has its own range, a mask 0 to 1, and what a stream keeps of a layer's output the range of that layer."""
    made = piece(mode, FRONT_END, static_net(which))
    known_ranges = ranges(which)
    found = tap_ranges(made, known_ranges)
    assert set(made.tap_names) - {"logits"} <= set(found) <= {*made.tap_names, *made.input_names} - {"logits"}
    for name in set(known_ranges) & set(found):
        assert found[name] == known_ranges[name]
    convolutions = len(static_net(which).convs)
    for number in range(1, convolutions + 1):
        layer, before = known_ranges[f"conv{number}"], known_ranges[f"conv{number - 1}" if number > 1 else "scale"]
        assert found[f"conv{number}"] == layer
        if mode == "stream":
            assert found[f"mask{number}"] == (0.0, 1.0)
            assert found[f"unmasked{number}"] == layer
            assert found[f"border{number}"] == before
            assert found.get(f"waiting{number}", layer) == layer
    assert not {"samples", "samples_before", "window", "frames_seen"} & set(found)


@pytest.mark.parametrize("missing", ["scale", "conv3", "hidden"])
def test_a_missing_range_is_named(missing: str) -> None:
    """A Run without the range of a layer cannot make int8 without data, and says which it lacks."""
    made = piece("clip", FRONT_END, static_net())
    with pytest.raises(UserError, match=f"no activation range for {missing}: train it again"):
        tap_ranges(made, {name: pair for name, pair in ranges("smallest").items() if name != missing})
