"""From timings to a table: rows net of a call's own time, interpolated where a grid stands for a large space."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import ENVIRONMENT
from toolkit.costs.predict import predict
from toolkit.profile.counts import file_bytes
from toolkit.profile.grid import choose_grid
from toolkit.profile.journal import Journal
from toolkit.profile.measure import Effort, Session
from toolkit.profile.memory import NOISE_BYTES
from toolkit.profile.table import Found, make_table
from toolkit.specs.cost import CostTable, Measurement
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer
from toolkit.specs.pack import LayerPack, PackedFile, PackedLayer, open_pack
from toolkit.specs.space import SearchSpace, preset_space
from toolkit.targets import PythonAgent, open_target

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


def peaks_of(pack: LayerPack) -> dict[str, int]:
    """Invented: 4 MB for any file, and a kilobyte for each channel in and out."""
    channels = {each.file: each.layer.channels_in + each.layer.channels_out for each in pack.layers}
    return {pack.overhead.file: 4_000_000} | {file: 4_000_000 + 1000 * count for file, count in channels.items()}


def table_of(space: SearchSpace, *, wrong: float = 1.0, **others: Any) -> CostTable:
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


@pytest.mark.parametrize("space", [preset_space("ew-ed-22x", 32), preset_space("ew-layerwise", 16)])
def test_rows_have_their_peaks_above_what_any_file_takes(space: SearchSpace) -> None:
    """What any file takes stands in the key; between measured channel counts peaks are interpolated as latency is."""
    table = table_of(space, peaks=peaks_of(pack_of(space)))
    assert table.key.network_bytes == 4_000_000 - table.key.runtime_base_bytes
    for row in table.rows.values():
        assert row.peak_bytes == pytest.approx(1000 * (row.layer.channels_in + row.layer.channels_out), abs=1)
        assert row.kept_bytes is not None
        assert row.peak_bytes is not None
        assert 0 <= row.kept_bytes <= row.peak_bytes


def test_memory_is_counted_where_a_peak_is_lacking() -> None:
    """One file that told none is enough: no row claims more than the others know."""
    space = preset_space("ew-ed-22x", 32)
    peaks = peaks_of(pack_of(space))
    measured, counted = (table_of(space, peaks=each) for each in (peaks, dict(list(peaks.items())[:-1])))
    assert predict(measured, space, space.smallest, FRONT_END, 31).memory_mb.kind == "measured"
    assert predict(counted, space, space.smallest, FRONT_END, 31).memory_mb.kind == "modelled"
    assert {row.peak_bytes for row in counted.rows.values()} == {None}
    assert measured.key.file_name == counted.key.file_name


def test_peaks_of_real_files_are_of_the_right_size(packs: Path, tmp_path: Path) -> None:
    """On this machine: a layer takes at least its constants; the networks that taught the table come out near."""
    (folder,) = packs.glob("tflite-fp32-stream-*")
    pack, journal = open_pack(folder), Journal.new(tmp_path / "journal.jsonl", "peaks")
    files = {each.file: folder / each.file for each in pack.files}
    effort = Effort(rounds=1, redo_rounds=0, warmups=0, runs=2, seconds=1e-3, note="", peaks=True)
    session = Session(open_target("local"), PythonAgent(), files, effort, 1, (), journal, lambda *_: None)
    found = Found(session.measure(), journal.base_bytes(), peaks=journal.peaks)
    layers = pack.space.all_layers(pack.front_end, pack.label_count, "stream")
    table = make_table("host", pack, choose_grid(layers), found)
    constants = {layer: file_bytes(layer, "fp32", pack.front_end) for layer in layers}
    for row in table.rows.values():
        assert row.peak_bytes is not None
        assert constants[row.layer] - NOISE_BYTES < row.peak_bytes < 20_000_000
    assert max(table.rows.values(), key=lambda row: row.peak_bytes or 0).layer.operator == "front_end"
    for whole in pack.wholes:
        subnet = pack.space.parse(whole.subnet)
        cost = predict(table, pack.space, subnet, pack.front_end, pack.label_count)
        assert cost.memory_mb.kind == "measured"
        assert 1e6 * cost.memory_mb.value == pytest.approx(journal.peaks[whole.file], abs=2 * NOISE_BYTES)


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
