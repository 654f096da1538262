"""The fit of the device model to published latencies: what each unit of work costs on each build that was measured.

A cost is what the core could do at best times factors: of the runtime's kernels, of cores that issue in order or not,
of the core, of the build, of the number of threads. Each factor is drawn towards one, so that a build with four rows
borrows what four rows cannot say, and a board without rows gets what its core and its kernels say. One set of kernels
is fitted apart from all others. Least squares in logarithms, by Gauss and Newton: the same rows give the same numbers.
Proved by tests/profile/test_calibration.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.profile.cores import known_cores
from toolkit.profile.device_model import COMPUTING, COSTS, Costs, Work, work
from toolkit.profile.published_row import Kernels, Row
from toolkit.specs.device import CoreCluster, DeviceModel, KernelModel
from toolkit.specs.record import Record
from toolkit.specs.runtime import Precision

Parameters = Mapping[str, float]
"""Logarithms of factors, by name; a name that is not there stands for 0."""
Array = NDArray[np.float64]

KERNELS: Kernels = "xnnpack"
MODELLED: tuple[Precision, ...] = ("int8", "fp32")
NOISE = 0.08
"""What one latency is off by itself: builds of one source, measured twice, differ by about as much."""
_USUAL = Costs(dense=1 / 0.45, pointwise=1 / 0.45, depthwise=1 / 0.15, memory=1.0, cache=1.0, operator=1.0)
"""Before any row is seen: kernels reach 45 % of a core's peak, depthwise ones 15 %."""
_OPERATOR_US_GHZ = 20.0
"""Microseconds to start an operator, at 1 GHz."""
_CACHE_TIMES = 2.0
"""Bandwidth of the cache over the memory's."""
_SPREAD = {"kernels": 0.7, "order": 0.3, "core": 0.3, "build": 0.25, "threads": 0.15}
"""How far a factor strays from one, as a standard deviation of its logarithm: of all that is computed together."""
_EACH = {"kernels": 0.7, "order": 0.0, "core": 0.2, "build": 0.15, "threads": 0.0}
"""... and of one cost by itself."""
_MOVING = 0.5
"""Bandwidths were measured apart, so their factors stray less."""
_SCALING = {"computing": (0.8, 0.15), "moving": (0.3, 0.15)}
"""Speed grows as the number of threads to this power, give or take."""


class Calibration(Record):
    """What a fit found, as it is stored."""

    rows: int
    parameters: dict[str, float]


class Place(NamedTuple):
    """All that a cost depends on."""

    kernels: Kernels
    precision: Precision
    core: str
    clock_ghz: float
    threads: int = 1
    build: str = ""

    @classmethod
    def of(cls, row: Row) -> Place:
        """Where a row was measured."""
        return cls(row.kernels, row.precision, row.core, row.clock_ghz, row.threads, row.build)


def calibrate(rows: Iterable[Row]) -> dict[str, float]:
    """Fit the parameters to rows whose layer list is known; each set of kernels by itself."""
    fitted: dict[str, float] = {}
    known = [row for row in rows if row.exact]
    for kernels in sorted({row.kernels for row in known}):
        fitted |= _fit([row for row in known if row.kernels == kernels])
    return fitted


def costs(place: Place, parameters: Parameters) -> Costs:
    """Microseconds for each unit of work there."""
    factors = (
        math.exp(sum(times * parameters.get(name, mean) for name, mean, _, times in _terms(place, cost)))
        for cost in COSTS
    )
    return Costs(*(best * factor for best, factor in zip(_at_best(place), factors, strict=True)))


def predicted_ms(row: Row, parameters: Parameters) -> float:
    """Milliseconds that the model gives the row's network."""
    return row_work(row).at(costs(Place.of(row), parameters)) / 1e3


def device_model(cluster: CoreCluster, device: str, rows: Iterable[Row], parameters: Parameters) -> DeviceModel:
    """Numbers for one core of a cluster under XNNPACK, which TFLite and ExecuTorch compute with.

    Where `rows` hold whole networks of this `device`, on a 64-bit system, the numbers are those of their build; else of
    its core. Rates are rounded to three figures.
    """
    core = known_cores()[cluster.core]
    precisions: dict[Precision, KernelModel] = {}
    for precision in MODELLED:
        builds = {
            row.build
            for row in rows
            if (row.device, row.core, row.kernels, row.precision, row.bits)
            == (device, cluster.core, KERNELS, precision, 64)
            and row.is_network
        }
        place = Place(KERNELS, precision, cluster.core, cluster.clock_ghz, build=min(builds, default=""))
        found = costs(place, parameters)
        peak, cycles = core.peak_macs_per_cycle[precision], 1e3 * cluster.clock_ghz
        memory_mb_s = _figures(1 / found.memory)
        precisions[precision] = KernelModel(
            peak_macs_per_cycle=peak,
            macs_per_cycle={kind: min(peak, _figures(1 / (cycles * getattr(found, kind)))) for kind in COMPUTING},
            channel_tile=core.channel_tile[precision],
            memory_mb_s=memory_mb_s,
            cache_mb_s=max(memory_mb_s, _figures(1 / found.cache)),
            operator_us=_figures(found.operator),
        )
    scaling = {kind: parameters.get(f"{KERNELS} threads: {kind}", mean) for kind, (mean, _) in _SCALING.items()}
    return DeviceModel(
        kernels=KERNELS,
        cache_kb=cluster.l2_kb or core.l2_kb,
        computing_by_threads=round(scaling["computing"], 2),
        moving_by_threads=round(scaling["moving"], 2),
        precisions=precisions,
    )


def row_work(row: Row) -> Work:
    """What the row's network asks for, all operators together."""
    core = known_cores()[row.core]
    tile, cache_bytes = core.channel_tile[row.precision], 1024 * core.l2_kb
    parts = [work(operation, row.precision, tile, cache_bytes) for operation in row.architecture.operations]
    return Work(*map(sum, zip(*parts, strict=True)))


def _figures(value: float) -> float:
    return float(f"{value:.3g}")


def _at_best(place: Place) -> Costs:
    core = known_cores()[place.core]
    peak = core.peak_macs_per_cycle[place.precision]
    mac_us, byte_us = 1 / (1e3 * place.clock_ghz * peak), 1 / core.memory_mb_s
    units = Costs(mac_us, mac_us, mac_us, byte_us, byte_us / _CACHE_TIMES, _OPERATOR_US_GHZ / place.clock_ghz)
    return Costs(*(unit * usual for unit, usual in zip(units, _USUAL, strict=True)))


def _terms(place: Place, cost: str) -> Iterator[tuple[str, float, float, float]]:
    """Parameters of one cost: name, mean, standard deviation and what it is multiplied with."""
    kernels = f"{place.kernels} {place.precision}"
    order = "in order" if known_cores()[place.core].in_order else "out of order"
    levels = {"kernels": kernels, "order": f"{kernels} {order}", "core": f"{kernels} {place.core}"}
    if place.build:
        levels |= {"build": place.build, "threads": f"{place.build} x{place.threads}"}
    kind = "moving" if cost in ("memory", "cache") else "computing" if cost != "operator" else "starting"
    for level, name in levels.items():
        if kind == "computing" and level != "kernels":
            yield name, 0.0, _SPREAD[level], 1.0
        if _EACH[level]:
            yield f"{name}: {cost}", 0.0, _EACH[level] * (_MOVING if kind == "moving" else 1.0), 1.0
    if kind in _SCALING:
        yield f"{place.kernels} threads: {kind}", *_SCALING[kind], -math.log(place.threads)


def _fit(rows: Sequence[Row]) -> dict[str, float]:
    places = [Place.of(row) for row in rows]
    entries = [
        (number, which, *term)
        for number, place in enumerate(places)
        for which, cost in enumerate(COSTS)
        for term in _terms(place, cost)
    ]
    priors = {name: (mean, spread) for _, _, name, mean, spread, _ in entries}
    columns = {name: column for column, name in enumerate(priors)}
    design = np.zeros((len(rows), len(COSTS), len(columns)))
    for number, which, name, _, _, times in entries:
        design[number, which, columns[name]] = times
    base = np.array([row_work(row) for row in rows]) * np.array([_at_best(place) for place in places]) / 1e3
    observed = np.log([row.latency_ms for row in rows])
    means, spreads = (np.array(side) for side in zip(*priors.values(), strict=True))
    found = _minimum(base, design, observed, means, spreads)
    return {name: rounded for name, column in sorted(columns.items()) if (rounded := round(float(found[column]), 3))}


def _minimum(base: Array, design: Array, observed: Array, mean: Array, spread: Array) -> Array:
    """Parameters P [P] of the least loss. `base` [N, C] are milliseconds before the factors, `design` [N, C, P].

    Rows that are off by more than two times the noise pull with a constant force (Huber), so that a slip does not rule.
    """

    def parts(at: Array) -> tuple[Array, Array]:
        ms = base * np.exp(design @ at)
        total = ms.sum(1)
        return ms / total[:, None], (np.log(total) - observed) / NOISE

    def loss(at: Array) -> float:
        off = np.abs(parts(at)[1])
        return float(np.where(off < 2, off**2 / 2, 2 * off - 2).sum() + (((at - mean) / spread) ** 2).sum() / 2)

    at, damping = mean.copy(), 1e-3
    least = loss(at)
    for _ in range(60):
        shares, off = parts(at)
        slope = np.einsum("nc,ncp->np", shares, design) / NOISE
        weight = 2 / np.maximum(np.abs(off), 2)
        curvature = slope.T @ (slope * weight[:, None]) + np.diag(spread**-2)
        gradient = slope.T @ (weight * off) + (at - mean) / spread**2
        for _ in range(12):
            step = at - np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), gradient)
            if (now := loss(step)) < least:
                break
            damping *= 4
        else:
            return at
        gained, at, least, damping = least - now, step, now, max(damping / 4, 1e-9)
        if gained < 1e-7 * least:
            break
    return at
