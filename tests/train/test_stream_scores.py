"""One walk over a scene scores it as a stream of chunks does, for every subnet."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.supernet.built import LABELS, MEL_BINS, known, log_mel
from toolkit.export.export import stream_scores as bundle_scores
from toolkit.frontend import LogMel
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.space import STREAM_CHUNK_FRAMES
from toolkit.supernet.static import StaticNet
from toolkit.supernet.streaming import StreamingNet
from toolkit.train.stream_scores import stream_scores


def chunk_by_chunk(net: StreamingNet, scene: Tensor) -> Tensor:
    """Scores [D, L] of a scene [T, F] that comes `input_delay` frames late, after what the front end gives before."""
    late = torch.cat([torch.full((net.input_delay, scene.shape[1]), -20.0), scene])[: len(scene)]
    state, scores = net.initial_state(), []
    for chunk in late.split(STREAM_CHUNK_FRAMES):
        result, *state = net(chunk[None, None], *state)
        scores.append(result)
    return torch.cat(scores)


@settings(max_examples=12)
@given(
    space=st.sampled_from(["ew-ed-22x", "ew-ed-xxx"]),
    data=st.data(),
    chunks=st.integers(1, 14),
    input_delay=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_scores_are_those_of_the_stream(
    space: str, data: st.DataObject, chunks: int, input_delay: int, seed: int
) -> None:
    """For scenes shorter and longer than the window, after every chunk, to 1e-4."""
    net, every, norms = known(space)
    subnets = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=3, unique=True))
    scene = log_mel(1, chunks * STREAM_CHUNK_FRAMES, seed)[0, 0]
    found = dict(stream_scores(net, norms, subnets, scene, input_delay))
    assert list(found) == subnets
    for subnet in subnets:
        assert found[subnet].shape == (chunks, LABELS)
        wanted = chunk_by_chunk(StreamingNet(StaticNet.extract(net, subnet, norms), input_delay), scene)
        np.testing.assert_allclose(found[subnet], wanted.detach(), atol=1e-4, rtol=0)


def test_scores_are_those_of_an_exported_stream() -> None:
    """On a waveform that grows louder: what the exported module scores hop by hop, front end included."""
    net, every, norms = known("ew-ed-22x")
    subnet = every[77]
    front_end = LogMel(FrontEndSpec(mel_bins=MEL_BINS))
    hops = 13
    samples = hops * STREAM_CHUNK_FRAMES * front_end.spec.hop_samples
    waveform = torch.randn(1, samples, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.001, 1, samples)
    ((_, found),) = stream_scores(net, norms, [subnet], front_end(waveform)[0, 0], front_end.delay_frames)
    wanted = bundle_scores(front_end, StaticNet.extract(net, subnet, norms), waveform)
    assert wanted.shape == (hops, LABELS)
    assert np.ptp(wanted, axis=0).max() > 0.01, "the scene moves the scores"
    np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=0)
