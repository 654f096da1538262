"""From timings and peaks by file to a CostTable: each layer net of what any call takes and as it is in a network; those
between the grid's interpolated.

Not the measuring. Proved by tests/profile/test_table.py.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from toolkit.profile.context import Context, find_context
from toolkit.profile.counts import activation_bytes, file_bytes
from toolkit.profile.grid import Grid, interpolate
from toolkit.profile.memory import find_memory
from toolkit.specs.cost import CostKey, CostRow, CostTable, Kind, Measurement
from toolkit.specs.layer import Layer
from toolkit.specs.pack import LayerPack
from toolkit.specs.space import Subnet


class Found(NamedTuple):
    """What a profile measured."""

    measurements: Mapping[str, Measurement]
    """By the pack's files."""
    base_bytes: int
    duty_cycle_ratio: float | None = None
    sustained_ratio: float | None = None
    peaks: Mapping[str, int] = MappingProxyType({})
    """Of memory, by the pack's files; unless every file has one, memory is counted."""


def make_table(device: str, pack: LayerPack, grid: Grid, found: Found, note: str = "") -> CostTable:
    """A row for each layer of the grid's space, the measured ones with their raw timings and `note`."""
    overhead = found.measurements[pack.overhead.file]
    environment = overhead.environment
    constants = {layer: file_bytes(layer, pack.precision, pack.front_end) for layer in grid.layers}
    peaks = _peaks(pack, grid, found, constants)
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
        network_bytes=peaks.network_bytes if peaks else None,
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
        told_by = "a whole one" if len(pack.wholes) == 1 else f"{len(pack.wholes)} whole ones"
        note = "; ".join(filter(None, (note, f"in a network, told by {told_by}: {context.text}")))

    def row(layer: Layer) -> CostRow:
        kind: Kind = "measured" if layer in measured else "interpolated"
        return CostRow(
            layer=layer,
            kind=kind,
            latency_us=round(context.latency_us(median_us[layer], moved[layer]), 3),
            p90_us=round(context.latency_us(p90_us[layer], moved[layer]), 3),
            file_bytes=constants[layer],
            activation_bytes=moved[layer],
            peak_bytes=peaks.peak_bytes[layer] if peaks else None,
            kept_bytes=peaks.kept_bytes[layer] if peaks else None,
            measurement=measured.get(layer),
            note=note if kind == "measured" else "; ".join(filter(None, (error, note))),
        )

    return CostTable(key, map(row, grid.layers))


def _context(
    pack: LayerPack, found: Found, alone_us: Mapping[Layer, float], moved_bytes: Mapping[Layer, int]
) -> Context:
    overhead_us = found.measurements[pack.overhead.file].median_us
    networks = {subnet: found.measurements[file].median_us - overhead_us for subnet, file in _wholes(pack).items()}
    return find_context(networks, _layers(pack), alone_us, moved_bytes)


class _Peaks(NamedTuple):
    network_bytes: int
    peak_bytes: Mapping[Layer, int]
    kept_bytes: Mapping[Layer, int]


def _peaks(pack: LayerPack, grid: Grid, found: Found, constant_bytes: Mapping[Layer, int]) -> _Peaks | None:
    """None where the peak of a file was not measured."""
    if any(each.file not in found.peaks for each in pack.files):
        return None
    overhead = found.peaks[pack.overhead.file]
    peaks = {each.layer: max(0, found.peaks[each.file] - overhead) for each in pack.layers}
    between = [layer for layer in grid.layers if layer not in peaks]
    interpolated = interpolate(between, {layer: peaks[layer] for layer in grid.measured})
    peaks |= {layer: round(value) for layer, value in interpolated.items()}
    networks = {subnet: found.peaks[file] - overhead for subnet, file in _wholes(pack).items()}
    memory = find_memory(networks, _layers(pack), peaks, constant_bytes, pack.runtime)
    kept = {layer: memory.kept_bytes(layer, constant_bytes[layer], peaks[layer]) for layer in grid.layers}
    return _Peaks(overhead - found.base_bytes + memory.network_bytes, peaks, kept)


def _wholes(pack: LayerPack) -> dict[Subnet, str]:
    return {pack.space.parse(whole.subnet): whole.file for whole in pack.wholes}


def _layers(pack: LayerPack) -> dict[Subnet, Sequence[Layer]]:
    return {subnet: pack.space.layers(subnet, pack.front_end, pack.label_count, pack.mode) for subnet in _wholes(pack)}


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
