"""What a layer costs on a device that is not at hand: a roofline of one core. Every row it makes says `modelled`.

Not validated against whole networks yet; its rates come from published measurements (devices/README.md).
Proved by tests/profile/test_device_model.py.
"""

from __future__ import annotations

from toolkit.profile.counts import activation_bytes, arithmetic, file_bytes, macs
from toolkit.specs.cost import CostKey, CostRow, CostTable
from toolkit.specs.device import CoreCluster, DeviceModel, DeviceProfile
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode, Operator
from toolkit.specs.run import RunManifest
from toolkit.specs.runtime import Precision

NOTE = "device model, not validated"
ERROR_BAND = "not validated"
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


def modelled_table(profile: DeviceProfile, precision: Precision, mode: Mode, run: RunManifest) -> CostTable:
    """A table of the whole space for one core of the listening cluster.

    Raises:
        UserError: the profile has no model for this precision.
    """
    if not profile.model or precision not in profile.model.macs_per_cycle:
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
            note=NOTE,
        )
        for layer in run.space.all_layers(run.front_end, len(run.labels), mode)
    )
    return CostTable(key, rows)


def latency_us(
    layer: Layer, precision: Precision, model: DeviceModel, cluster: CoreCluster, front_end: FrontEndSpec
) -> float:
    """Microseconds of one inference on one core: arithmetic or memory, whichever takes longer, and starting operators.

    Source: Williams et al., Roofline (2009).
    """
    computed_in = arithmetic(layer, precision)
    tile = model.channel_tile[computed_in]
    computed = macs(layer, front_end)
    if layer.operator == "conv2d":
        computed = computed * (-(-layer.channels_out // tile) * tile) // layer.channels_out
    computing_us = computed / (1e3 * cluster.clock_ghz * model.macs_per_cycle[computed_in])
    traffic = activation_bytes(layer, precision, front_end) + file_bytes(layer, precision, front_end)
    moving_us = traffic / model.bandwidth_mb_s
    operators = _OPERATORS[layer.operator]
    if layer.operator == "conv2d" and layer.mode == "stream":
        operators += _STREAM_OPERATORS
    return max(computing_us, moving_us) + operators * model.operator_overhead_us
