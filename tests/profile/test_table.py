"""From timings to a table: rows net of a call's own time, interpolated where a grid stands for a large space."""

from __future__ import annotations

import random

import pytest

from tests.profile.boards import ENVIRONMENT
from toolkit.profile.grid import choose_grid
from toolkit.profile.table import Found, make_table
from toolkit.search.predict import predict
from toolkit.specs.cost import CostTable, Measurement
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.specs.pack import LayerPack, PackedFile, PackedLayer
from toolkit.specs.space import SearchSpace, preset_space

FRONT_END = FrontEndSpec()
CALL_US = 4.0


def pack_of(space: SearchSpace) -> LayerPack:
    """Of files that nobody opens."""
    layers = choose_grid(space.all_layers(FRONT_END, 31, "stream")).packed
    return LayerPack(
        runtime="tflite",
        precision="int8",
        mode="stream",
        space=space,
        front_end=FRONT_END,
        label_count=31,
        made_with={},
        overhead=PackedFile(file="overhead.tflite", sha256="0"),
        layers=tuple(PackedLayer(layer=layer, file=f"{layer.name}.tflite", sha256="0") for layer in layers),
    )


def cost_us(layer: Layer) -> float:
    """Invented: what a convolution without stairs costs."""
    return 10.0 + 0.01 * layer.channels_in * layer.channels_out


def table_of(space: SearchSpace, *, wrong: float = 1.0, **others: float) -> CostTable:
    """Each layer's timings lie about its cost and the call's; those of held-out layers are off by a factor."""
    pack = pack_of(space)
    grid = choose_grid(space.all_layers(FRONT_END, 31, "stream"))

    def timings(value: float) -> Measurement:
        around = tuple(value + step for step in (-1.0, 0.0, 1.0))
        return Measurement(latencies_us=around, warmups_us=(9e9,), environment=ENVIRONMENT)

    found = {
        packed.file: timings(CALL_US + cost_us(packed.layer) * (wrong if packed.layer in grid.held_out else 1.0))
        for packed in pack.layers
    }
    return make_table("board", pack, grid, Found(found | {"overhead.tflite": timings(CALL_US)}, 1_000_000, **others))


def test_rows_are_medians_without_the_calls_own_time() -> None:
    """It stands in the key, once for all; the raw timings are kept as they were."""
    table = table_of(preset_space("ew-ed-22x", 32))
    assert (table.key.call_us, table.key.runtime_base_bytes) == (CALL_US, 1_000_000)
    assert table.kinds == ("measured",)
    for row in table.rows.values():
        assert row.latency_us == pytest.approx(cost_us(row.layer), abs=1e-3)
        assert row.p90_us == pytest.approx(cost_us(row.layer) + 1.0, abs=1e-3)
        assert row.measurement
        assert row.measurement.latencies_us[1] == pytest.approx(CALL_US + cost_us(row.layer))


def test_a_prediction_adds_the_call_once() -> None:
    """Median and 90th percentile are sums over the layers and one call."""
    space = preset_space("ew-ed-22x", 32)
    cost = predict(table_of(space), space, space.largest, FRONT_END, 31)
    layers = space.layers(space.largest, FRONT_END, 31, "stream")
    expected_us = CALL_US + sum(map(cost_us, layers))
    assert cost.latency_ms.value == pytest.approx(expected_us / 1e3, rel=1e-4)
    assert cost.latency_p90_ms is not None
    assert cost.latency_p90_ms.value == pytest.approx((expected_us + len(layers)) / 1e3, rel=1e-4)


def test_the_share_of_a_core_is_of_one_that_sleeps_between() -> None:
    """Where a duty cycle was measured, its ratio tells; latency itself stays what it is back to back."""
    space = preset_space("ew-ed-22x", 32)
    plain, paced = (
        predict(table_of(space, **others), space, space.smallest, FRONT_END, 31)
        for others in ({}, {"duty_cycle_ratio": 1.5})
    )
    assert plain.core_share
    assert paced.core_share
    assert paced.core_share.value == pytest.approx(1.5 * plain.core_share.value)
    assert paced.latency_ms == plain.latency_ms


def test_a_large_space_is_interpolated_and_says_how_far_off() -> None:
    """What is bilinear comes out exactly; every row says what it is, and which ones were made up."""
    space = preset_space("ew-layerwise", 16)
    table = table_of(space)
    assert table.kinds == ("interpolated", "measured")
    assert set(table.rows) == {layer.name for layer in space.all_layers(FRONT_END, 31, "stream")}
    for row in table.rows.values():
        if row.layer.operator in ("conv2d", "linear"):
            assert row.latency_us == pytest.approx(cost_us(row.layer), rel=1e-3)
        if row.kind == "interpolated":
            assert row.measurement is None
            assert row.note.startswith("interpolated; off by ")
    assert predict(table, space, space.sample(random.Random(1)), FRONT_END, 31).latency_ms.kind in (
        "measured",
        "interpolated",
    )


def test_the_error_is_that_on_layers_held_out() -> None:
    """When these took a quarter longer than their neighbours say, interpolation is a fifth too low."""
    table = table_of(preset_space("ew-layerwise", 16), wrong=1.25)
    (note,) = {row.note for row in table.rows.values() if row.kind == "interpolated"}
    off = float(note.split("off by ")[1].split(" %")[0])
    assert off == pytest.approx(20.0, abs=2.0)


def test_tables_of_the_same_question_have_the_same_name() -> None:
    """Whatever was found: a newer measurement takes the older one's place."""
    space = preset_space("ew-ed-22x", 32)
    assert table_of(space).key.file_name == table_of(space, duty_cycle_ratio=1.2, sustained_ratio=2.0).key.file_name
