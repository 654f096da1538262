"""`Row`: one published latency of a network, with all that the device model has to know to predict it.

Here the words of a row are understood: whose kernels compute, on how many threads, in which arithmetic. The columns of
files are `toolkit.profile.published`, the names of cores `toolkit.profile.cores`. What is not said plainly is not
guessed silently. Proved by tests/profile/test_published.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from toolkit.profile.architectures import Architecture
from toolkit.profile.cores import known_cores, stated_cores
from toolkit.specs.runtime import Precision

Kernels = Literal["xnnpack", "tflite-2", "tflite-1", "armnn", "ncnn", "paddle", "tengine"]
"""Who computes: rows of one never say anything of another. `tflite-2` is TFLite's own kernels with ruy, `tflite-1`
those of 1.x with Eigen and gemmlowp; TFLite and LiteRT since 2.12 and ExecuTorch compute with XNNPACK."""
MATRIX_PRODUCT = "matrix-product"
"""Family of the rows that hold one matrix product instead of a network."""
_KERNELS: tuple[tuple[str, Kernels], ...] = (
    ("xnnpack|executorch|litert", "xnnpack"),
    (r"tflite[ -]*2\.(1[2-9]|[2-9]\d)(?!.*ruy)", "xnnpack"),
    (r"tflite[ -]*1\.", "tflite-1"),
    ("tflite|tensorflow.?lite|hw-nas", "tflite-2"),
    ("arm ?nn", "armnn"),
    ("ncnn", "ncnn"),
    ("paddle", "paddle"),
    ("tengine", "tengine"),
)


class Row(NamedTuple):
    """One measured latency of one network, and what the model has to know to predict it."""

    device: str
    core: str
    clock_ghz: float
    threads: int
    framework: str
    kernels: Kernels
    bits: int
    precision: Precision
    name: str
    architecture: Architecture
    exact: bool
    """The layer list is the network's own, not one that stands in for it."""
    latency_ms: float

    @property
    def build(self) -> str:
        """What was measured on: rows of one build share all but the network and the number of threads."""
        return f"{self.device}, {self.core}, {self.framework}, {self.bits} bit, {self.precision}"

    @property
    def is_network(self) -> bool:
        """Not one matrix product by itself."""
        return self.architecture.family != MATRIX_PRODUCT


class NotScoredError(Exception):
    """Why a row says nothing to the model."""


def row_of(line: Mapping[str, str], name: str, architecture: Architecture, *, exact: bool) -> Row:
    """From the columns device, core, threads, framework, precision, latency_ms and, where there is one, notes.

    Raises:
        NotScoredError: one of them is missing, or is not known.
        ValueError: the number of threads is no number.
    """
    notes = line.get("notes", "")
    if "LOW TRUST" in notes:
        raise NotScoredError("its source calls it of low trust")
    latency_ms = number(line["latency_ms"])
    if not latency_ms:
        raise NotScoredError("no latency stated")
    kernels = kernels_of(line["framework"])
    if not kernels:
        raise NotScoredError(f"unknown framework: {line['framework'] or 'none'}")
    cores = stated_cores(line["core"])
    if not cores:
        raise NotScoredError(f"unknown core: {line['core'] or 'none'}")
    return Row(
        device=line["device"],
        core=cores.core,
        clock_ghz=cores.clock_ghz,
        threads=_threads(line["threads"], cores.number),
        framework=line["framework"],
        kernels=kernels,
        bits=32 if re.search("armv7|aarch32|32-bit", notes) else 64,
        precision=_precision(line["precision"], cores.core),
        name=name,
        architecture=architecture,
        exact=exact,
        latency_ms=latency_ms,
    )


def kernels_of(framework: str) -> Kernels | None:
    """Who computes under a framework's name, None where it is not known."""
    plain = framework.lower()
    return next((kernels for pattern, kernels in _KERNELS if re.search(pattern, plain)), None)


def number(text: str) -> float:
    """What a column says, 0 where it holds no number above 0."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 < value < 1e12 else 0.0


def _threads(text: str, cores: int) -> int:
    """One where it is not stated; no more than there are cores."""
    if text.lower().startswith("all"):
        return cores
    if text in ("", "?"):
        return 1
    threads = float(text)
    if not 1 <= threads <= 256:
        raise NotScoredError(f"unknown number of threads: {text}")
    return min(int(threads), max(cores, 1))


def _precision(text: str, core: str) -> Precision:
    plain = text.lower()
    if "2bit" in plain or "4bit" in plain:
        raise NotScoredError(f"unknown precision: {text}")
    if plain.startswith(("int8", "qs8", "uint8", "quant")):
        return "int8"
    if plain.startswith(("fp32", "float32", "float")) or plain == "f32":
        return "fp32"
    if plain in ("fp16", "fp16(arith)", "f16") and "fp16" in known_cores()[core].peak_macs_per_cycle:
        return "fp16"
    raise NotScoredError(f"unknown precision: {text or 'none'}")
