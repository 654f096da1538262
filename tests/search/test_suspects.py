"""Which rows to measure again: what was never measured before what was, each by what it may be off by."""

from __future__ import annotations

from collections.abc import Mapping

from tests.costs.invented import ENVIRONMENT, invented_table
from tests.search.conftest import Place
from toolkit.search.suspects import suspects
from toolkit.specs.cost import CostRow, CostTable, Kind, Measurement
from toolkit.specs.layer import Layer
from toolkit.specs.run import Run


def layer(channels: int) -> Layer:
    """One that is known by its channels."""
    return Layer(operator="linear", channels_in=channels, channels_out=1, frames=1, bins=1, mode="stream")


def row(
    channels: int, kind: Kind, latency_us: float, scatter_us: float = 0.0, started_utc: str = "2026-01-01T00:00:00Z"
) -> CostRow:
    """A layer that takes so long, give or take the scatter."""
    environment = ENVIRONMENT.model_copy(update={"started_utc": started_utc})
    timings = (latency_us - scatter_us, latency_us + scatter_us)
    measured = Measurement(latencies_us=timings, warmups_us=(), environment=environment)
    return CostRow(
        layer=layer(channels),
        kind=kind,
        latency_us=latency_us,
        file_bytes=1,
        activation_bytes=1,
        measurement=measured if kind == "measured" else None,
    )


def table_of(place: Place, rows: Mapping[int, CostRow]) -> CostTable:
    """Of these rows, with a call of 10 us."""
    key = invented_table(Run.open(place.run)).key.model_copy(update={"call_us": 10.0})
    return CostTable(key, rows.values())


def test_the_worst_comes_first(place: Place) -> None:
    """Modelled and interpolated rows by their share, then measured ones by their scatter's share, then the older."""
    rows = {
        1: row(1, "measured", 50.0, scatter_us=25.0),
        2: row(2, "modelled", 20.0),
        3: row(3, "measured", 10.0, started_utc="2026-01-02T00:00:00Z"),
        4: row(4, "interpolated", 30.0),
        5: row(5, "measured", 60.0, scatter_us=6.0),
        6: row(6, "measured", 20.0, started_utc="2025-01-01T00:00:00Z"),
    }
    found = suspects(table_of(place, rows), [layer(channels) for channels in rows])
    assert [each.layer for each in found] == [layer(channels).name for channels in (4, 2, 1, 5, 6, 3)]
    assert [each.share for each in found] == [0.15, 0.1, 0.25, 0.3, 0.1, 0.05]
    assert [each.variation for each in found] == [None, None, 0.5, 0.1, 0.0, 0.0]
    assert found[4].measured_utc == "2025-01-01T00:00:00Z"


def test_a_layer_that_runs_twice_counts_twice(place: Place) -> None:
    """It stands there once, with both shares."""
    rows = {1: row(1, "modelled", 20.0), 2: row(2, "modelled", 50.0)}
    found = suspects(table_of(place, rows), [layer(1), layer(2), layer(1)])
    assert [(each.layer, each.share) for each in found] == [(layer(2).name, 0.5), (layer(1).name, 0.4)]
