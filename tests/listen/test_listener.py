"""However audio is cut into chunks, the decisions are those of windows laid over the whole of it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.events.decoder import Decision
from toolkit.listen.interpreter import Arrays
from toolkit.listen.listener import Listener
from toolkit.listen.steps import ClipStep, Step, StreamStep
from toolkit.specs.errors import UserError


def window_scores(inputs: Arrays) -> Arrays:
    """A model that tells windows apart: first and last sample, and a sum that weighs each place differently."""
    window = inputs["audio"][0]
    places = np.arange(1, len(window) + 1, dtype=np.float32)
    return {"scores": np.array([[window[0], window[-1], window @ places]])}


def running_scores(inputs: Arrays) -> Arrays:
    """A model with a state: the sum of all so far and how many chunks there were."""
    total = inputs["total"] + inputs["audio"].sum(keepdims=True)
    return {"scores": np.concatenate([total, inputs["chunks"]], axis=1), "sum": total, "count": inputs["chunks"] + 1}


def clip_step(window: int) -> Step:
    """Windows through `window_scores`."""
    return ClipStep(window_scores, "audio", "scores", window)


def stream_step() -> Step:
    """Chunks through `running_scores`."""
    return StreamStep(running_scores, "audio", "scores", {"total": ("sum", (1, 1)), "chunks": ("count", (1, 1))})


def decisions_of(listener: Listener, signal: np.ndarray, cuts: list[int]) -> list[Decision]:
    """Push a signal cut at these places, then flush."""
    found = []
    for chunk in np.split(signal, cuts):
        found += listener.push(chunk)
    return found + list(listener.flush())


signals = st.integers(1, 200).map(lambda length: np.random.default_rng(length).normal(size=length).astype(np.float32))


@given(data=st.data(), signal=signals, hop=st.integers(1, 20), hops=st.integers(1, 6), extra=st.integers(0, 19))
def test_any_chunking_gives_the_windows_of_the_whole(
    data: st.DataObject, signal: np.ndarray, hop: int, hops: int, extra: int
) -> None:
    """Decision k scores the window that ends at k hops, zeros standing before and after the audio."""
    window = hop * hops + extra
    cuts = sorted(data.draw(st.lists(st.integers(0, len(signal)), max_size=12)))
    found = decisions_of(Listener(clip_step(window), window, hop), signal, cuts)

    padded = np.concatenate([np.zeros(window, np.float32), signal, np.zeros(window + hop, np.float32)])
    for number, decision in enumerate(found, start=1):
        assert decision.end == number * hop
        assert decision.heard == min(decision.end, len(signal))
        expected = window_scores({"audio": padded[None, decision.end : decision.end + window]})["scores"][0]
        np.testing.assert_array_equal(decision.scores, expected)
    last = found[-1].end
    assert last - window < len(signal) <= last - window + hop, "the last window is the last that holds some audio"


@given(data=st.data(), signal=signals, hop=st.integers(1, 20))
def test_any_chunking_gives_the_same_stream(data: st.DataObject, signal: np.ndarray, hop: int) -> None:
    """A model with a state gets each sample once and its own state back, however the audio was cut."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(signal)), max_size=12)))
    whole = decisions_of(Listener(stream_step(), 3 * hop, hop), signal, [])
    cut = decisions_of(Listener(stream_step(), 3 * hop, hop), signal, cuts)
    for number, (one, other) in enumerate(zip(whole, cut, strict=True)):
        np.testing.assert_array_equal(one.scores, other.scores)
        assert one.scores[1] == number
        assert one.scores[0] == pytest.approx(signal[: one.end].sum(), abs=1e-3)


def test_nothing_heard_is_nothing_decided() -> None:
    """A stream without a sample has no decisions, and its end adds none."""
    listener = Listener(clip_step(20), 20, 5)
    assert listener.push(np.empty(0, np.float32)) == []
    assert list(listener.flush()) == []


def test_a_hop_beyond_the_window_is_refused() -> None:
    """A hop that would skip audio is an error, not a silent gap."""
    with pytest.raises(UserError, match="gaps"):
        Listener(clip_step(10), 10, 11)


def test_scores_that_are_no_numbers_are_refused() -> None:
    """NaN from a model stops with one line."""
    listener = Listener(lambda hop: np.array([np.nan], np.float32), 10, 5)  # noqa: ARG005
    with pytest.raises(UserError, match="not finite"):
        listener.push(np.zeros(5, np.float32))


def test_an_hour_takes_no_more_memory_than_a_minute() -> None:
    """Memory does not grow with the length of the stream."""
    chunk = np.zeros(8_000, np.float32)
    listener = Listener(lambda hop: hop[:2], 80_000, 7_680)

    def most_bytes(seconds: int) -> int:
        tracemalloc.reset_peak()
        for _ in range(seconds):
            listener.push(chunk)
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        minute = most_bytes(60)
        hour = most_bytes(3_600)
    finally:
        tracemalloc.stop()
    assert hour < minute + 8 * 4_096 + 100_000, "beyond a minute's there are only the latest 4,096 times"
