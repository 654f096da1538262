"""What one subnet costs on a device: the sum of its layers' rows in a CostTable, the front end's included.

Not a measurement of the whole subnet, and no cost model: rows are taken as they are.
Proved by tests/search/test_predict.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.specs.cost import CostKey, CostRow, CostTable, Figure, Kind, PredictedCost
from toolkit.specs.errors import MismatchError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.space import STREAM_CHUNK_FRAMES, SearchSpace, Subnet

BYTES_PER_MB = 1_000_000
WEAKNESS: dict[Kind, int] = {"measured": 0, "interpolated": 1, "modelled": 2}


def predict(
    table: CostTable, space: SearchSpace, subnet: Subnet, front_end: FrontEndSpec, label_count: int
) -> PredictedCost:
    """The cost of one inference in the table's mode.

    Latency is the sum of the rows and one call; the share of a core is with the core asleep between decisions, where
    that was measured. The 90th percentile is the sum of the rows', for what slows a device slows all layers. Latency is
    of the weakest kind among the rows. Memory is what all rows keep and the most that one needs besides, because layers
    run one after the other, and the runtime itself where the table knows it; of the latency's kind where peaks were
    measured, else counted from shapes and modelled. Files are counted and modelled whatever the rows are.

    Raises:
        MismatchError: the table was made for another space, front end or label count, or lacks a layer.
    """
    check_table(table.key, space, front_end, label_count)
    layers = space.layers(subnet, front_end, label_count, table.key.mode)
    rows = [table.row(layer) for layer in layers]
    kind: Kind = max((row.kind for row in rows), key=WEAKNESS.__getitem__)

    call_us, duty_cycle = table.key.call_us, table.key.duty_cycle_ratio or 1.0
    latency_ms = (call_us + sum(row.latency_us for row in rows)) / 1e3
    p90s_us = [row.p90_us for row in rows if row.p90_us is not None]
    p90 = Figure(value=(call_us + sum(p90s_us)) / 1e3, kind=kind) if len(p90s_us) == len(rows) else None
    file_bytes = sum(row.file_bytes for row in rows)
    core_share = None
    if table.key.mode == "stream":
        chunk_ms = 1e3 * front_end.seconds(STREAM_CHUNK_FRAMES)
        core_share = Figure(value=duty_cycle * latency_ms * table.key.threads / chunk_ms, kind=kind)
    return PredictedCost(
        latency_ms=Figure(value=latency_ms, kind=kind),
        latency_p90_ms=p90,
        core_share=core_share,
        memory_mb=_memory(table.key, rows, kind),
        file_mb=Figure(value=file_bytes / BYTES_PER_MB, kind="modelled"),
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
    )


def _memory(key: CostKey, rows: Sequence[CostRow], kind: Kind) -> Figure:
    kept = [row.kept_bytes for row in rows if row.kept_bytes is not None]
    peaks = [row.peak_bytes for row in rows if row.peak_bytes is not None]
    if key.network_bytes is None or not len(kept) == len(peaks) == len(rows):
        counted = max(row.activation_bytes for row in rows) + sum(row.file_bytes for row in rows)
        return Figure(value=(key.runtime_base_bytes + counted) / BYTES_PER_MB, kind="modelled")
    most = max(peak - stays for peak, stays in zip(peaks, kept, strict=True))
    return Figure(value=(key.runtime_base_bytes + key.network_bytes + sum(kept) + most) / BYTES_PER_MB, kind=kind)


def check_table(key: CostKey, space: SearchSpace, front_end: FrontEndSpec, label_count: int) -> None:
    """Raise MismatchError unless the table's rows are layers of this space, front end and label count."""
    if found := differences(key, space, front_end, label_count):
        raise MismatchError(
            f"the table of {key.device} ({key.mode}, {key.precision}) was made for {'; '.join(found)}. "
            f"Make one for this Run: {profile_command(key.device)}"
        )


def differences(key: CostKey, space: SearchSpace, front_end: FrontEndSpec, label_count: int) -> list[str]:
    """What a table was made for, where that is not what is asked; empty when they belong together."""
    found = []
    if key.space != space:
        found.append(f"space {_space(key.space)}, not {_space(space)}")
    if key.front_end != front_end.fingerprint:
        found.append(f"front end {key.front_end}, not {front_end.fingerprint}")
    if key.label_count != label_count:
        found.append(f"{key.label_count} labels, not {label_count}")
    return found


def profile_command(device: str, options: str = "") -> str:
    """The command that makes a device's tables; `host`, any machine, cannot be modelled but measured only."""
    target = " --target local" if device == "host" else ""
    return f"python -m toolkit.profile --device {device}{target}{options}"


def _space(space: SearchSpace) -> str:
    return f"{space.name} at base width {space.base_width}"
