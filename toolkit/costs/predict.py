"""What subnets cost on a device: the sum of their layers' rows in a CostTable, the front end's included.

One subnet or a million: each convolution of all candidates is looked up at once. Not a measurement of whole subnets,
and no cost model: rows are taken as they are. Axis letters: N candidates, D dynamic blocks, K convolutions of one.
Proved by tests/costs/test_predict.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.costs.tables import differences, named
from toolkit.specs.cost import WEAKNESS, CostKey, CostRow, CostTable, Figure, PredictedCost
from toolkit.specs.errors import MismatchError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.specs.space import STREAM_CHUNK_FRAMES, SearchSpace, Subnet

Numbers = NDArray[np.float64]
Widths = NDArray[np.int64]
"""[N, D, K]: channels of each convolution, 0 where it does not run."""

BYTES_PER_MB = 1_000_000
_KINDS = tuple(WEAKNESS)
_AT_ONCE = 1 << 15
"""Candidates whose sums fit a processor's cache."""


@dataclass(frozen=True, eq=False)
class Costs:
    """Predicted costs of N candidates, an array [N] each; None where the mode or the table has no such figure.

    Latency is the sum of the rows and one call; the share of a core is with the core asleep between decisions, where
    that was measured. The 90th percentile is the sum of the rows', for what slows a device slows all layers. Latency is
    of the weakest kind among the rows. Memory is what all rows keep and the most that one needs besides, because layers
    run one after the other, and the runtime itself where the table knows it; of the latency's kind where peaks were
    measured, else counted from shapes and modelled. Files are counted and modelled whatever the rows are.
    """

    latency_ms: Numbers
    latency_p90_ms: Numbers | None
    core_share: Numbers | None
    memory_mb: Numbers
    file_mb: Numbers
    params: NDArray[np.int64]
    macs: NDArray[np.int64]
    weakness: NDArray[np.int64]
    """Of the latency: `WEAKNESS` of the least known row."""
    memory_weakness: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.latency_ms)

    def __getitem__(self, at: int) -> PredictedCost:
        """The cost of one candidate."""
        kind, memory_kind = _KINDS[self.weakness[at]], _KINDS[self.memory_weakness[at]]
        p90, share = self.latency_p90_ms, self.core_share
        return PredictedCost(
            latency_ms=Figure(value=float(self.latency_ms[at]), kind=kind),
            latency_p90_ms=None if p90 is None or np.isnan(p90[at]) else Figure(value=float(p90[at]), kind=kind),
            core_share=None if share is None else Figure(value=float(share[at]), kind=kind),
            memory_mb=Figure(value=float(self.memory_mb[at]), kind=memory_kind),
            file_mb=Figure(value=float(self.file_mb[at]), kind="modelled"),
            params=int(self.params[at]),
            macs=int(self.macs[at]),
        )


def widths_of(subnets: Iterable[Subnet]) -> Widths:
    """Subnets as an array [N, D, K]."""
    every = [subnet.blocks for subnet in subnets]
    deepest = max((len(block) for blocks in every for block in blocks), default=0)
    padded = [[(*block, *(0,) * (deepest - len(block))) for block in blocks] for blocks in every]
    return np.array(padded, np.int64)


def predict(
    table: CostTable, space: SearchSpace, subnet: Subnet, front_end: FrontEndSpec, label_count: int
) -> PredictedCost:
    """The cost of one inference of one subnet in the table's mode; raises as `predict_all`."""
    return predict_all(table, space, widths_of([subnet]), front_end, label_count)[0]


def predict_all(
    table: CostTable, space: SearchSpace, widths: Widths, front_end: FrontEndSpec, label_count: int
) -> Costs:
    """The costs of one inference of each candidate, in the table's mode.

    Raises:
        MismatchError: the table was made for another space, front end or label count, or lacks layers.
    """
    key = table.key
    if found := differences(key, space, front_end, label_count):
        raise MismatchError(f"{_title(key)} was made for {'; '.join(found)}. Profile the device for this Run.")
    rows = _Rows(table)
    columns = list(_columns(space, widths, front_end, label_count, rows))
    opening = [rows.find(layer) for layer in space.opening(front_end, key.mode)]
    if rows.missing:
        raise MismatchError(f"{_title(key)} has no layer {named(list(rows.missing))}. Profile the device again.")
    sums = np.tile(rows.sums[opening].sum(axis=0), (len(widths), 1))
    maxima = np.tile(rows.maxima[opening].max(axis=0), (len(widths), 1))
    for start in range(0, len(widths), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        for column in columns:
            sums[part] += rows.sums[column[part]]
            np.maximum(maxima[part], rows.maxima[column[part]], out=maxima[part])
    return _costs(key, front_end, sums, maxima)


class _Rows:
    """A table's figures as arrays, and a row of zeros behind them for what does not run."""

    def __init__(self, table: CostTable) -> None:
        rows = list(table.rows.values())
        self._at = {row.layer.name: number for number, row in enumerate(rows)}
        self.mode = table.key.mode
        self.nothing = len(rows)
        self.sums = np.array([*map(_sums, rows), [0.0] * _SUMS])
        self.maxima = np.array([*map(_maxima, rows), [0.0] * _MAXIMA])
        self.missing: dict[str, None] = {}

    def find(self, layer: Layer) -> int:
        """The place of a layer's row; one that there is not is kept in `missing`."""
        if layer.name not in self._at:
            self.missing[layer.name] = None
        return self._at.get(layer.name, self.nothing)


_SUMS, _MAXIMA = 6, 3


def _sums(row: CostRow) -> tuple[float, ...]:
    p90_us = np.nan if row.p90_us is None else row.p90_us
    kept_bytes = np.nan if row.kept_bytes is None else row.kept_bytes
    return row.latency_us, p90_us, row.file_bytes, kept_bytes, row.layer.params, row.layer.macs


def _maxima(row: CostRow) -> tuple[float, ...]:
    needs_bytes = np.nan if row.peak_bytes is None or row.kept_bytes is None else row.peak_bytes - row.kept_bytes
    return needs_bytes, row.activation_bytes, WEAKNESS[row.kind]


def _columns(
    space: SearchSpace, widths: Widths, front_end: FrontEndSpec, label_count: int, rows: _Rows
) -> Iterator[NDArray[np.int64]]:
    """For each layer that candidates may run the place of its row [N]."""
    count, blocks, depth = widths.shape
    channels = np.full(count, space.base_width)
    for block in range(1, blocks + 1):
        for layer in range(depth):
            width = widths[:, block - 1, layer]
            yield _convolutions(space, block, channels, width, front_end, rows)
            channels = np.where(width > 0, width, channels)
        ends, which = _levels(channels)
        closings = [space.closing(block, int(end), front_end, label_count, rows.mode) for end in ends]
        yield from np.array([[rows.find(layer) for layer in closing] for closing in closings], np.int64).T[:, which]


def _convolutions(
    space: SearchSpace,
    block: int,
    channels_in: NDArray[np.int64],
    channels_out: NDArray[np.int64],
    front_end: FrontEndSpec,
    rows: _Rows,
) -> NDArray[np.int64]:
    """The place of the row of one convolution of all candidates [N]; each different one is looked up once."""
    (taken, from_), (given, to) = _levels(channels_in), _levels(channels_out)
    code = from_ * len(given) + to
    place = np.full(len(taken) * len(given), rows.nothing)
    for pair in _levels(code)[0]:
        into, out = int(taken[pair // len(given)]), int(given[pair % len(given)])
        if out:
            place[pair] = rows.find(space.convolution(block, into, out, front_end, rows.mode))
    found: NDArray[np.int64] = place[code]
    return found


def _levels(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different values of small whole numbers, and which of them each is."""
    levels = np.flatnonzero(np.bincount(values))
    numbers = np.zeros(levels[-1] + 1, np.int64)
    numbers[levels] = np.arange(len(levels))
    return levels, numbers[values]


def _costs(key: CostKey, front_end: FrontEndSpec, sums: Numbers, maxima: Numbers) -> Costs:
    latency_us, p90_us, file_bytes, kept_bytes, params, macs = sums.T
    needs_bytes, activation_bytes, weakness = maxima.T
    duty_cycle = key.duty_cycle_ratio or 1.0
    latency_ms = (key.call_us + latency_us) / 1e3
    chunk_ms = 1e3 * front_end.seconds(STREAM_CHUNK_FRAMES)
    network_bytes = np.nan if key.network_bytes is None else key.network_bytes
    measured = network_bytes + kept_bytes + needs_bytes
    is_counted = np.isnan(measured)
    memory_bytes = key.runtime_base_bytes + np.where(is_counted, activation_bytes + file_bytes, measured)
    return Costs(
        latency_ms=latency_ms,
        latency_p90_ms=None if np.isnan(p90_us).all() else (key.call_us + p90_us) / 1e3,
        core_share=duty_cycle * latency_ms * key.threads / chunk_ms if key.mode == "stream" else None,
        memory_mb=memory_bytes / BYTES_PER_MB,
        file_mb=file_bytes / BYTES_PER_MB,
        params=params.astype(np.int64),
        macs=macs.astype(np.int64),
        weakness=weakness.astype(np.int64),
        memory_weakness=np.where(is_counted, WEAKNESS["modelled"], weakness).astype(np.int64),
    )


def _title(key: CostKey) -> str:
    return f"the table of {key.device} ({key.mode}, {key.precision})"
