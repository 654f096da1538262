"""The one module, converted for LiteRT and ExecuTorch, whole and as a streaming step: same features, no torch.fft."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from toolkit.frontend import STREAM_CHUNK_FRAMES, LogMel, feature_error
from toolkit.specs.front_end import FrontEndSpec

SPEC = FrontEndSpec()
CHUNK_SAMPLES = STREAM_CHUNK_FRAMES * SPEC.hop_samples


class _Step(nn.Module):
    """`LogMel.stream` as a module's forward, the way an exported stream carries it."""

    def __init__(self) -> None:
        super().__init__()
        self.front_end = LogMel(SPEC)

    def forward(self, chunk: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.front_end.stream(chunk, state)


def _chirp(samples: int) -> NDArray[np.float32]:
    time_s = np.arange(samples) / SPEC.sample_rate_hz
    return np.asarray(np.sin(2 * np.pi * (50 + 6975 * time_s / time_s[-1]) * time_s), dtype=np.float32)


def test_litert_gives_the_same_features(tmp_path: Path) -> None:
    """A converted front end meets the same tolerance as the torch module."""
    waveform = _chirp(32_000)[None]
    (log_mel,) = _in_litert(LogMel(SPEC), [waveform], tmp_path)
    assert log_mel.shape == (1, 1, 100, 64)
    assert feature_error(log_mel[:, 0], waveform, SPEC).small


def test_litert_streams_chunk_by_chunk(tmp_path: Path) -> None:
    """The converted step, with its state carried by the caller, gives the whole pass's frames."""
    waveform = _chirp(CHUNK_SAMPLES)[None]
    state = LogMel(SPEC).initial_state().numpy()
    frames, new_state = _in_litert(_Step(), [waveform, state], tmp_path)
    whole = LogMel(SPEC)(torch.from_numpy(waveform)).numpy()
    np.testing.assert_array_equal(new_state, waveform[:, -960:])
    np.testing.assert_allclose(frames[:, :, 1:], whole[:, :, :95], atol=1e-3)


def test_executorch_gives_the_same_features(tmp_path: Path) -> None:
    """The same graph, delegated to XNNPACK, meets the same tolerance, on silence too."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    waveform = torch.from_numpy(_chirp(32_000))[None]
    exported = torch.export.export(LogMel(SPEC).eval(), (waveform,))
    program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
    path = tmp_path / "front_end.pte"
    path.write_bytes(program.buffer)
    method = Runtime.get().load_program(path).load_method("forward")
    for samples in (waveform, torch.zeros_like(waveform)):
        (log_mel,) = method.execute((samples,))
        assert feature_error(log_mel[:, 0].numpy(), samples.numpy(), SPEC).small


def _in_litert(module: nn.Module, inputs: list[NDArray[np.float32]], folder: Path) -> list[NDArray[np.float32]]:
    """Outputs of a module converted to TFLite and run there."""
    import litert_torch
    from ai_edge_litert.interpreter import Interpreter

    path = folder / "front_end.tflite"
    litert_torch.convert(module.eval(), tuple(torch.from_numpy(values) for values in inputs)).export(str(path))
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    runner = interpreter.get_signature_runner()
    outputs = runner(**{f"args_{i}": values for i, values in enumerate(inputs)})
    return [outputs[f"output_{i}"] for i in range(len(outputs))]
