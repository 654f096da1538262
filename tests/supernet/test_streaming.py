"""A stream of chunks of any sizes gives the feature frames and the scores of a whole pass over the same signal."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from tests.supernet.built import LABELS, MEL_BINS, known, log_mel, points
from toolkit.specs.errors import UserError
from toolkit.specs.space import TIME_STRIDE, Subnet
from toolkit.supernet.static import StaticNet
from toolkit.supernet.streaming import SEEN_LIMIT, WINDOW_FRAMES, StreamingNet

SMALL_CHUNKS = st.lists(st.integers(1, 5), min_size=1, max_size=6)
"""Chunks in feature frames, of eight log-mel frames each."""


def static_net(name: str, subnet: Subnet, mel_bins: int = MEL_BINS) -> StaticNet:
    """A subnet with random weights and norms."""
    net, _, norms = known(name, mel_bins)
    return StaticNet.extract(net, subnet, norms).requires_grad_(requires_grad=False)


def streamed(net: StreamingNet, frames: Tensor, chunks: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """All feature frames [1, C, T] of a stream, and the scores after each chunk; the state keeps its shapes."""
    state, features, scores = net.initial_state(), [], []
    for chunk in frames.split([TIME_STRIDE * count for count in chunks], dim=2):
        assert [tuple(value.shape) for value in state] == list(net.shapes.values())
        taps, after = net.taps(chunk, state)
        result, *state_again = net(chunk, *state)
        assert all(torch.equal(one, other) for one, other in zip(after, state_again, strict=True))
        assert torch.equal(result, torch.sigmoid(taps["logits"]))
        features.append(taps["frequency_mean"].transpose(1, 2))
        scores.append(result)
        state = after
    return torch.cat(features, dim=2), scores


def delay_of(subnet: Subnet, input_delay: int) -> int:
    """Feature frames by which a stream is late: one frame for each convolution, rounded up at each halving."""
    delay = input_delay + 2
    for block in subnet.blocks:
        delay = -(-delay // 2) + len(block)
    return delay


def check(net: StaticNet, chunks: Sequence[int], input_delay: int, seed: int) -> None:
    """The stream of a random signal equals the whole pass to 1e-4, feature by feature and chunk by chunk."""
    total = sum(chunks)
    # What a front end gives before the signal's first frame is no part of the signal. The whole pass hears on beyond
    # the last chunk: what a stream has given out never depends on what comes later.
    heard = log_mel(1, TIME_STRIDE * (total + 2), seed, mel_bins=len(net.scale.factor))
    whole = net.taps(heard[:, :, input_delay:])["frequency_mean"].transpose(1, 2)
    features, scores = streamed(StreamingNet(net, input_delay), heard[:, :, : TIME_STRIDE * total], chunks)
    delay = delay_of(net.subnet, input_delay)
    assert features.shape[2] == total
    assert torch.count_nonzero(features[:, :, :delay]) == 0
    assert_close(features[:, :, delay:], whole[:, :, : max(0, total - delay)], atol=1e-4, rtol=1e-4)
    seen = 0
    for chunk, found in zip(chunks, scores, strict=True):
        seen += chunk
        window = whole[:, :, max(0, seen - delay - WINDOW_FRAMES) : max(0, seen - delay)]
        pooled = window.amax(2) + window.mean(2) if window.shape[2] else torch.zeros(1, whole.shape[1])
        assert_close(found, torch.sigmoid(net.classify(pooled)["logits"]), atol=1e-4, rtol=0)


@settings(max_examples=80)
@given(point=points, chunks=SMALL_CHUNKS, input_delay=st.integers(0, 2), seed=st.integers(0, 999))
def test_any_chunking_equals_the_whole(
    point: tuple[str, Subnet], chunks: list[int], input_delay: int, seed: int
) -> None:
    """For every preset, subnet, chunking, signal and delay of the front end."""
    check(static_net(*point), chunks, input_delay, seed)


@pytest.mark.parametrize("input_delay", [0, 1, 2])
@pytest.mark.parametrize("chunk", [1, 12, 125, 130, 270])
def test_signals_longer_than_the_window_equal_the_whole(chunk: int, input_delay: int) -> None:
    """After more than 10 s the scores rest on the last 10 s alone, with chunks shorter and longer than that."""
    net = known("ew-ed-22x")[0]
    total = 270
    chunks = [min(chunk, total - start) for start in range(0, total, chunk)]
    check(static_net("ew-ed-22x", net.space.smallest), chunks, input_delay, seed=3)


def test_all_mel_bins_stream_in_exported_chunks() -> None:
    """With 64 mel bins, chunks of 96 frames and the front end's delay of one, as a bundle streams."""
    net = known("ew-ed-22x", 64)[0]
    check(static_net("ew-ed-22x", net.space.largest, 64), [12] * 11, input_delay=1, seed=4)


@given(point=points, input_delay=st.integers(0, 2))
def test_a_stream_begins_with_zeros_and_is_hardly_late(point: tuple[str, Subnet], input_delay: int) -> None:
    """At most 5 feature frames (0.4 s) lie between hearing and scoring; the first state is all zeros, as named."""
    name, subnet = point
    net = StreamingNet(static_net(name, subnet), input_delay)
    assert delay_of(subnet, input_delay) <= 5
    state = net.initial_state()
    assert [tuple(value.shape) for value in state] == list(net.shapes.values())
    assert not any(value.any() for value in state)


def test_a_stream_of_hours_goes_on_as_before() -> None:
    """The counter of frames stops at its limit, and nothing else notices."""
    net = StreamingNet(static_net("ew-only", known("ew-only")[0].space.smallest), input_delay=1)
    fed = log_mel(1, 8 * 150, seed=8)
    _, *state = net(fed, *net.initial_state())
    chunk = log_mel(1, 16, seed=9)
    expected = net(chunk, *state)
    late = net(chunk, torch.tensor([SEEN_LIMIT]), *state[1:])
    assert float(late[1]) == SEEN_LIMIT
    for found, wanted in zip((late[0], *late[2:]), (expected[0], *expected[2:]), strict=True):
        assert torch.equal(found, wanted)


def test_a_stream_that_heard_nothing_scores_what_silence_of_features_does() -> None:
    """Before the first feature frame is out, scores are those of empty features, and finite."""
    net = static_net("ew-only", known("ew-only")[0].space.largest)
    (scores, *_) = StreamingNet(net)(log_mel(1, 8, seed=1), *StreamingNet(net).initial_state())
    empty = net.classify(torch.zeros(1, net.hidden.in_features))["logits"]
    assert scores.shape == (1, LABELS)
    assert_close(scores, torch.sigmoid(empty), atol=1e-6, rtol=0)


@pytest.mark.parametrize("frames", [1, 7, 9, 12, 100])
def test_other_chunks_are_one_clear_error(frames: int) -> None:
    """A chunk that is no multiple of 8 frames is refused with both numbers."""
    net = StreamingNet(static_net("ew-only", known("ew-only")[0].space.smallest))
    with pytest.raises(UserError, match=rf"{frames} frames.* multiple of 8"):
        net(log_mel(1, frames, seed=0), *net.initial_state())
