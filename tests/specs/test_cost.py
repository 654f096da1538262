"""Cost tables: text that round-trips, one key for all rows, rows that say how they are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.fakes import ENVIRONMENT
from toolkit.specs.cost import CostKey, CostRow, CostTable, Measurement
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.space import preset_space

SPACE = preset_space("ew-ed-22x", 8)
LAYERS = SPACE.all_layers(FrontEndSpec(), 4, "stream")
microseconds = st.floats(0.001, 1e7)
measurements = st.builds(
    Measurement,
    latencies_us=st.lists(microseconds, min_size=1, max_size=5).map(tuple),
    warmups_us=st.lists(microseconds, max_size=2).map(tuple),
    environment=st.just(ENVIRONMENT),
)
counts = st.integers(0, 10**9)
notes = st.text(max_size=20)


def rows_of(index: int, *, peaks: bool = False) -> st.SearchStrategy[CostRow]:
    """Rows of one layer, of every kind."""
    common: dict[str, Any] = {
        "latency_us": microseconds,
        "file_bytes": counts,
        "activation_bytes": counts,
        "note": notes,
    }
    if peaks:
        common |= {"kept_bytes": counts, "peak_bytes": counts.map(lambda value: 10**9 + value)}
    layer = st.just(LAYERS[index])
    measured = st.builds(CostRow, layer=layer, kind=st.just("measured"), measurement=measurements, **common)
    others = st.builds(CostRow, layer=layer, kind=st.sampled_from(["interpolated", "modelled"]), **common)
    return measured | others


tables = st.builds(
    CostTable,
    st.builds(
        CostKey,
        device=st.sampled_from(["rpi4", "host"]),
        runtime=st.just("tflite"),
        runtime_version=st.text(max_size=8),
        precision=st.sampled_from(["int8", "fp32"]),
        threads=st.integers(1, 8),
        core_mask=st.just("0x8"),
        mode=st.just("stream"),
        space=st.just(SPACE),
        front_end=st.just(FrontEndSpec().fingerprint),
        label_count=st.just(4),
        runtime_base_bytes=counts,
        network_bytes=st.none() | st.integers(-(10**9), 10**9),
    ),
    st.lists(st.integers(0, len(LAYERS) - 1), unique=True, max_size=6).flatmap(
        lambda chosen: st.tuples(*(rows_of(index, peaks=index % 2 == 0) for index in chosen))
    ),
)


def row(index: int = 0, latency_us: float = 5.0) -> CostRow:
    """A modelled row."""
    return CostRow(layer=LAYERS[index], kind="modelled", latency_us=latency_us, file_bytes=1, activation_bytes=2)


def key(**changes: Any) -> CostKey:
    """A key, some fields of it changed."""
    fields: dict[str, Any] = {
        "device": "rpi4",
        "runtime": "tflite",
        "runtime_version": "2.3.0",
        "precision": "int8",
        "threads": 1,
        "core_mask": "0xf",
        "mode": "stream",
        "space": SPACE,
        "front_end": FrontEndSpec().fingerprint,
        "label_count": 4,
    }
    return CostKey(**fields | changes)


@given(tables)
def test_a_table_is_read_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, table: CostTable) -> None:
    """Key, every row with its raw timings, and so the hash survive the text."""
    path = tmp_path_factory.mktemp("table") / "table.jsonl"
    table.save(path)
    read = CostTable.load(path)
    assert (read.key, read.rows, read.hash) == (table.key, table.rows, table.hash)


def test_text_has_a_line_for_the_key_and_one_for_each_layer(tmp_path: Path) -> None:
    """So two tables differ in the lines of the layers that differ."""
    path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    CostTable(key(), [row(0), row(1), row(2)]).save(path)
    CostTable(key(), [row(0), row(1, latency_us=6.0), row(2)]).save(other)
    pairs = list(zip(path.read_text().splitlines(), other.read_text().splitlines(), strict=True))
    assert [a == b for a, b in pairs] == [True, True, False, True]


@pytest.mark.parametrize(
    "change", [{"device": "rpi5"}, {"threads": 2}, {"runtime_version": "2.4.0"}, {"mode": "clip"}, {"label_count": 5}]
)
def test_another_question_has_another_file(change: dict[str, Any]) -> None:
    """Whatever makes rows incomparable keeps their tables in files of their own."""
    assert key(**change).file_name != key().file_name


def test_measuring_again_writes_the_same_file() -> None:
    """The runtime's memory is found, not asked for; it does not make another table of it."""
    assert key(runtime_base_bytes=45_000_000, network_bytes=-1).file_name == key().file_name


def test_hash_covers_key_and_rows() -> None:
    """A Pick can tell which table it came from."""
    hashes = {
        CostTable(key(), [row()]).hash,
        CostTable(key(threads=2), [row()]).hash,
        CostTable(key(), [row(latency_us=5.5)]).hash,
    }
    assert len(hashes) == 3


def test_a_layer_has_one_row() -> None:
    """Two rows of one layer are refused: which would count?"""
    with pytest.raises(MismatchError, match="two rows"):
        CostTable(key(), [row(), row()])


def test_a_layer_that_is_not_covered_names_the_command() -> None:
    """A table of another space says what it lacks and how to make it."""
    with pytest.raises(MismatchError, match=r"has no layer front_end-1x1-96x64; .*toolkit\.profile --device rpi4"):
        CostTable(key(), [row(3)]).row(LAYERS[0])


@pytest.mark.parametrize(("kind", "measured"), [("measured", False), ("modelled", True), ("interpolated", True)])
def test_a_row_cannot_claim_what_it_is_not(kind: str, measured: bool) -> None:
    """Measured rows have raw timings, and no other rows do."""
    timings = Measurement(latencies_us=(1.0,), warmups_us=(), environment=ENVIRONMENT) if measured else None
    fields = row().model_dump() | {"kind": kind, "layer": LAYERS[0], "measurement": timings}
    with pytest.raises(ValidationError, match="raw timings"):
        CostRow(**fields)


@pytest.mark.parametrize(("peak", "kept"), [(5, None), (None, 5), (5, 6)])
def test_no_more_stays_than_there_was(peak: int | None, kept: int | None) -> None:
    """A row has a peak and what is kept of it, or neither."""
    fields = row().model_dump() | {"layer": LAYERS[0], "peak_bytes": peak, "kept_bytes": kept}
    with pytest.raises(ValidationError, match=f"peak_bytes {peak} and kept_bytes {kept} do not belong together"):
        CostRow(**fields)


def test_median_and_variation_are_of_the_raw_timings() -> None:
    """Warm-ups count for nothing."""
    timings = Measurement(latencies_us=(2.0, 4.0, 9.0), warmups_us=(100.0,), environment=ENVIRONMENT)
    assert timings.median_us == 4.0
    assert timings.variation == pytest.approx(((9 + 1 + 16) / 3) ** 0.5 / 5)
    assert Measurement(latencies_us=(2.0,), warmups_us=(), environment=ENVIRONMENT).variation == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: [], "is empty"),
        (lambda lines: lines[1:], "line 1 is not a good CostKey"),
        (lambda lines: [*lines, lines[-1]], "has two rows"),
        (lambda lines: [*lines[:-1], lines[-1][:40]], "line 3 is not JSON"),
        (lambda lines: [*lines[:-1], lines[-1].replace("latency_us", "latncy_us")], "did you mean latency_us"),
        (lambda lines: [lines[0].replace('"schema_version": 1', '"schema_version": 9'), *lines[1:]], "has schema 9"),
    ],
    ids=["empty", "no key", "twice", "cut off", "misspelt", "another schema"],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path: Path, damage: Any, message: str) -> None:
    """What is wrong is named with file and line."""
    path = tmp_path / "table.jsonl"
    CostTable(key(), [row(0), row(1)]).save(path)
    path.write_text("".join(f"{line}\n" for line in damage(path.read_text().splitlines())))
    with pytest.raises(UserError, match=message):
        CostTable.load(path)


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure half-way leaves the file that was there, and no other."""
    path = tmp_path / "table.jsonl"
    CostTable(key(), [row()]).save(path)
    before = path.read_text()

    def full(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dumps", full)
    with pytest.raises(OSError, match="No space"):
        CostTable(key(), [row(1)]).save(path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
