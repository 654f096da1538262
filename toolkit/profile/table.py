"""From timings by file to a CostTable: each layer net of what any call takes and as it is in a network; those between
the grid's interpolated.

Not the timing. Proved by tests/profile/test_table.py.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from toolkit.profile.context import Context, find_context
from toolkit.profile.counts import activation_bytes, file_bytes
from toolkit.profile.grid import Grid, interpolate
from toolkit.specs.cost import CostKey, CostRow, CostTable, Kind, Measurement
from toolkit.specs.layer import Layer
from toolkit.specs.pack import LayerPack


class Found(NamedTuple):
    """What a profile measured."""

    measurements: Mapping[str, Measurement]
    """By the pack's files."""
    base_bytes: int
    duty_cycle_ratio: float | None = None
    sustained_ratio: float | None = None


def make_table(device: str, pack: LayerPack, grid: Grid, found: Found, note: str = "") -> CostTable:
    """A row for each layer of the grid's space, the measured ones with their raw timings and `note`."""
    overhead = found.measurements[pack.overhead.file]
    environment = overhead.environment
    key = CostKey(
        device=device,
        runtime=environment.runtime,
        runtime_version=environment.runtime_version,
        precision=pack.precision,
        threads=environment.threads,
        core_mask=environment.core_mask,
        mode=pack.mode,
        space=pack.space,
        front_end=pack.front_end.fingerprint,
        label_count=pack.label_count,
        runtime_base_bytes=found.base_bytes,
        call_us=round(overhead.median_us, 3),
        duty_cycle_ratio=found.duty_cycle_ratio,
        sustained_ratio=found.sustained_ratio,
    )
    files = {packed.layer: packed.file for packed in pack.layers}
    measured = {layer: found.measurements[files[layer]] for layer in grid.packed}
    moved = {layer: activation_bytes(layer, pack.precision, pack.front_end) for layer in grid.layers}
    median_us = {layer: max(0.0, each.median_us - overhead.median_us) for layer, each in measured.items()}
    p90_us = {layer: max(0.0, each.p90_us - overhead.median_us) for layer, each in measured.items()}
    error = interpolation_error(grid, median_us)
    between = [layer for layer in grid.layers if layer not in measured]
    median_us |= interpolate(between, {layer: median_us[layer] for layer in grid.measured})
    p90_us |= interpolate(between, {layer: p90_us[layer] for layer in grid.measured})
    context = _context(pack, found, median_us, moved)
    if pack.wholes:
        note = "; ".join(filter(None, (note, f"in a network, told by {len(pack.wholes)} whole ones: {context.text}")))

    def row(layer: Layer) -> CostRow:
        kind: Kind = "measured" if layer in measured else "interpolated"
        return CostRow(
            layer=layer,
            kind=kind,
            latency_us=round(context.latency_us(median_us[layer], moved[layer]), 3),
            p90_us=round(context.latency_us(p90_us[layer], moved[layer]), 3),
            file_bytes=file_bytes(layer, pack.precision, pack.front_end),
            activation_bytes=moved[layer],
            measurement=measured.get(layer),
            note=note if kind == "measured" else "; ".join(filter(None, (error, note))),
        )

    return CostTable(key, map(row, grid.layers))


def _context(
    pack: LayerPack, found: Found, alone_us: Mapping[Layer, float], moved_bytes: Mapping[Layer, int]
) -> Context:
    overhead_us = found.measurements[pack.overhead.file].median_us
    wholes = {pack.space.parse(whole.subnet): whole.file for whole in pack.wholes}
    layers = {subnet: pack.space.layers(subnet, pack.front_end, pack.label_count, pack.mode) for subnet in wholes}
    networks = {subnet: found.measurements[file].median_us - overhead_us for subnet, file in wholes.items()}
    return find_context(networks, layers, alone_us, moved_bytes)


def interpolation_error(grid: Grid, latency_us: Mapping[Layer, float]) -> str:
    """How far interpolation is from what was measured of the layers that were held out, for people."""
    if not grid.held_out:
        return ""
    guessed = interpolate(grid.held_out, {layer: latency_us[layer] for layer in grid.measured})
    errors = [abs(guessed[layer] / latency_us[layer] - 1) for layer in grid.held_out if latency_us[layer] > 0]
    if not errors:
        return "interpolated; no layer that was held out took any time"
    median, greatest = 100 * statistics.median(errors), 100 * max(errors)
    return f"interpolated; off by {median:.1f} %, at most {greatest:.1f} %, on {len(errors)} layers held out"
