"""Run a native runner on a plan and read its lines; the same files in the runtimes' Python packages, to compare with.

Axis letters: H hops, S samples of a hop, L labels.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.native.build import NativeAgent
from toolkit.specs.errors import StableDeviceError
from toolkit.targets.base import Peak, Plan, Played, Start, Visit, read_line

Floats = NDArray[np.float32]
Line = Start | Visit | Peak | Played


def run_plan(
    agent: NativeAgent,
    plan: Plan | str,
    files: Mapping[str, bytes],
    folder: Path,
    emulator: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Carry out a plan in a folder, which gets the agent's files and these."""
    for name, path in agent.files.items():
        if not (folder / name).exists():
            (folder / name).symlink_to(path)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "plan.txt").write_text(plan if isinstance(plan, str) else plan.text())
    return subprocess.run(
        [*emulator, *agent.command("plan.txt")], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )


def lines_of(done: subprocess.CompletedProcess[str]) -> list[Line]:
    """All that a runner printed, which ended well."""
    assert done.returncode == 0, done.stderr
    return [read_line(line, "this machine", StableDeviceError) for line in done.stdout.splitlines()]


def played(done: subprocess.CompletedProcess[str]) -> Floats:
    """Scores [H, L] of a plan that plays one file."""
    _, line = lines_of(done)
    assert isinstance(line, Played)
    return np.array(line.scores, np.float32)


def executorch_scores(model: bytes, hops: Floats) -> Floats:
    """First outputs [H, L] in ExecuTorch's Python package for samples [H, S]; inputs 1, 2, ... are the last outputs."""
    import torch
    from executorch.runtime import Runtime

    method: Any = Runtime.get().load_program(model).load_method("forward")
    shapes = [tuple(method.metadata.input_tensor_meta(k).sizes()) for k in range(method.metadata.num_inputs())]
    state = [torch.zeros(shape) for shape in shapes[1:]]
    scores = []
    for hop in hops:
        outputs = [output.clone() for output in method.execute([torch.from_numpy(hop).reshape(shapes[0]), *state])]
        state = outputs[len(outputs) - len(state) :]
        scores.append(outputs[0].numpy().ravel())
    return np.array(scores)


def noise(hops: int, samples: int) -> Floats:
    """Samples [H, S]."""
    return np.random.default_rng(11).normal(0, 1, (hops, samples)).astype(np.float32)
