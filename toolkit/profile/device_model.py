"""What a layer costs on a device that is not at hand. Every row it makes says `modelled`, with its band of error.

A layer takes time to compute, to move its numbers and to be started; nothing overlaps. The numbers stand in the
profile; `toolkit.profile.calibration` finds them from published latencies (devices/README.md).
Proved by tests/profile/test_device_model.py.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from toolkit.profile.counts import BYTES, activation_bytes, arithmetic, file_bytes, macs
from toolkit.profile.operation import Operation
from toolkit.specs.cost import CostKey, CostRow, CostTable
from toolkit.specs.device import MODEL_NOTE, CoreCluster, DeviceModel, DeviceProfile
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode, Operator
from toolkit.specs.run import RunManifest
from toolkit.specs.runtime import Precision

_OPERATORS: dict[Operator, int] = {
    "front_end": 24,
    "scale": 2,
    "conv2d": 1,
    "avg_pool2d": 1,
    "global_pool": 4,
    "linear": 1,
}
"""Operators that a runtime starts for each layer."""
_STREAM_OPERATORS = 3
"""What a streaming convolution has more: join the border, pad, cut the next border."""


class Work(NamedTuple):
    """What operators ask for: multiply-accumulates, tiles filled up; bytes; starts."""

    dense: float
    pointwise: float
    depthwise: float
    memory: float
    cache: float
    operator: float

    def at(self, costs: Costs) -> float:
        """Microseconds that all of it takes at such costs."""
        return sum(amount * cost for amount, cost in zip(self, costs, strict=True))


Costs = Work
"""Microseconds for each."""
COSTS = Work._fields
COMPUTING: tuple[Literal["dense", "pointwise", "depthwise"], ...] = ("dense", "pointwise", "depthwise")
"""The first of these: convolutions by how kernels compute them."""


def modelled_table(profile: DeviceProfile, precision: Precision, mode: Mode, run: RunManifest) -> CostTable:
    """A table of the whole space for one core of the listening cluster.

    Raises:
        UserError: the profile has no model for this precision.
    """
    if not profile.model or not {precision, "fp32"} <= set(profile.model.precisions):
        raise UserError(
            f"{profile.name} has no device model for {precision}: it must be measured. "
            f"On the device itself: python -m toolkit.profile --device {profile.name} --target local"
        )
    runtime = profile.runtimes[0]
    key = CostKey(
        device=profile.name,
        runtime=runtime.runtime,
        runtime_version=runtime.version,
        precision=precision,
        threads=1,
        core_mask=profile.cluster.mask,
        mode=mode,
        space=run.space,
        front_end=run.front_end.fingerprint,
        label_count=len(run.labels),
    )
    rows = (
        CostRow(
            layer=layer,
            kind="modelled",
            latency_us=round(latency_us(layer, precision, profile.model, profile.cluster, run.front_end), 1),
            file_bytes=file_bytes(layer, precision, run.front_end),
            activation_bytes=activation_bytes(layer, precision, run.front_end),
            note=MODEL_NOTE + profile.model.band(precision),
        )
        for layer in run.space.all_layers(run.front_end, len(run.labels), mode)
    )
    return CostTable(key, rows)


def latency_us(
    layer: Layer,
    precision: Precision,
    model: DeviceModel,
    cluster: CoreCluster,
    front_end: FrontEndSpec,
    threads: int = 1,
) -> float:
    """Microseconds of one inference on cores of the cluster."""
    computed_in = arithmetic(layer, precision)
    kernels = model.precisions[computed_in]
    computed = threads**model.computing_by_threads * 1e3 * cluster.clock_ghz
    moved = threads**model.moving_by_threads
    rates = kernels.macs_per_cycle
    costs = Costs(
        dense=1 / (computed * rates["dense"]),
        pointwise=1 / (computed * rates["pointwise"]),
        depthwise=1 / (computed * rates["depthwise"]),
        memory=1 / (moved * kernels.memory_mb_s),
        cache=1 / (moved * kernels.cache_mb_s),
        operator=kernels.operator_us,
    )
    return _layer_work(layer, precision, kernels.channel_tile, 1024 * model.cache_kb, front_end).at(costs)


def work(operation: Operation, precision: Precision, tile: int, cache_bytes: float) -> Work:
    """What one operator of a published network asks for."""
    kind = operation.kind if operation.kind in COMPUTING else "pointwise"
    computed = float(operation.macs)
    if operation.kind in ("dense", "pointwise", "linear"):
        computed *= _filled(operation.channels_out / operation.groups, tile)
    width = BYTES[precision]
    return _work(kind, computed, width * operation.weights, width * operation.numbers_moved, cache_bytes, 1)


def _layer_work(layer: Layer, precision: Precision, tile: int, cache_bytes: float, front_end: FrontEndSpec) -> Work:
    """What a layer of a space asks for; the front end is small matrix products."""
    maps = activation_bytes(layer, precision, front_end)
    constants = file_bytes(layer, precision, front_end)
    computed, kind = float(macs(layer, front_end)), "pointwise"
    if layer.operator == "conv2d":
        if layer.groups == layer.channels_in > 1:
            kind = "depthwise"
        else:
            kind = "pointwise" if layer.kernel == 1 else "dense"
            computed *= _filled(layer.channels_out / layer.groups, tile)
    operators = _OPERATORS[layer.operator]
    if layer.operator == "conv2d" and layer.mode == "stream":
        operators += _STREAM_OPERATORS
    return _work(kind, computed, constants, maps, cache_bytes, operators)


def _work(kind: str, computed: float, constants: float, maps: float, cache_bytes: float, operators: int) -> Work:
    cached = maps if maps <= cache_bytes else 0.0
    dense, pointwise, depthwise = (computed if kind == one else 0.0 for one in COMPUTING)
    return Work(dense, pointwise, depthwise, constants + maps - cached, cached, operators)


def _filled(channels: float, tile: int) -> float:
    """How much more is computed because the last tile of channels is computed whole."""
    return -(-channels // tile) * tile / channels
