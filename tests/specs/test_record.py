"""Records are frozen and strict, and a wrong file tells all its faults at once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.record import Part, Record


class Wheel(Part):
    """A part of a part."""

    spokes: int = Field(ge=1)
    rim_mm: float


class Bicycle(Record):
    """A record with everything that records here have: nested, repeated, named and optional parts."""

    SCHEMA = 1

    name: str
    gears: int = Field(ge=1, le=30)
    front: Wheel
    spares: tuple[Wheel, ...] = ()
    by_maker: dict[str, Wheel] = Field(default_factory=dict)
    bell: Wheel | None = None


def good() -> dict[str, Any]:
    """A bicycle as a file holds it."""
    return {
        "schema_version": 1,
        "name": "city",
        "gears": 7,
        "front": {"spokes": 36, "rim_mm": 622.0},
        "spares": [{"spokes": 32, "rim_mm": 584}],
        "by_maker": {"own": {"spokes": 20, "rim_mm": 406.0}},
        "bell": None,
    }


wheels = st.builds(Wheel, spokes=st.integers(1, 99), rim_mm=st.floats(allow_nan=False, allow_infinity=False))
bicycles = st.builds(
    Bicycle,
    name=st.text(),
    gears=st.integers(1, 30),
    front=wheels,
    spares=st.lists(wheels).map(tuple),
    by_maker=st.dictionaries(st.text(), wheels),
    bell=st.none() | wheels,
)

FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "near miss": (lambda raw: raw.update(gaers=3), "gaers: unknown field; did you mean gears?"),
    "far miss": (lambda raw: raw.update(qqq=3), "qqq: unknown field"),
    "missing": (lambda raw: raw.pop("name"), "name: missing"),
    "out of range": (lambda raw: raw.update(gears=31), "gears: "),
    "near miss in a part": (
        lambda raw: raw["front"].update(rim_mn=1.0),
        "front.rim_mn: unknown field; did you mean rim_mm?",
    ),
    "text for a number": (lambda raw: raw["front"].update(spokes="36"), "front.spokes: "),
    "near miss in a repeated part": (
        lambda raw: raw["spares"][0].update(spoke=1),
        "spares.0.spoke: unknown field; did you mean spokes?",
    ),
    "fraction for a whole number": (lambda raw: raw["spares"][0].update(spokes=2.5), "spares.0.spokes: "),
    "not a number": (lambda raw: raw["by_maker"]["own"].update(rim_mm=float("nan")), "by_maker.own.rim_mm: "),
    "endless": (lambda raw: raw.update(bell={"spokes": 1, "rim_mm": float("inf")}), "bell.rim_mm: "),
}


@given(names=st.sets(st.sampled_from(sorted(FAULTS)), min_size=1))
def test_all_faults_are_told_at_once(names: set[str]) -> None:
    """Whatever faults a file has, one error lists each of them, with their count and the file's name."""
    raw = good()
    for name in names:
        FAULTS[name][0](raw)
    with pytest.raises(UserError) as caught:
        Bicycle.from_text(json.dumps(raw), origin="shed.json")
    message = str(caught.value)
    assert message.startswith("shed.json")
    assert f"({len(names)} fault" in message
    assert len(message.splitlines()) == len(names) + 1
    for name in names:
        assert FAULTS[name][1] in message


@given(bicycle=bicycles)
def test_what_is_written_reads_back_equal(bicycle: Bicycle) -> None:
    """Writing and reading gives an equal record, and equal records have equal digests."""
    again = Bicycle.from_text(bicycle.to_json(), origin="memory")
    assert again == bicycle
    assert again.digest() == bicycle.digest()


def test_toml_reads_as_json_does(tmp_path: Path) -> None:
    """A TOML file gives the record that the same JSON file gives."""
    text = """
    schema_version = 1
    name = "city"
    gears = 7
    front = { spokes = 36, rim_mm = 622.0 }
    [[spares]]
    spokes = 32
    rim_mm = 584
    [by_maker.own]
    spokes = 20
    rim_mm = 406.0
    """
    (tmp_path / "city.toml").write_text(text)
    (tmp_path / "city.json").write_text(json.dumps(good()))
    assert Bicycle.load(tmp_path / "city.toml") == Bicycle.load(tmp_path / "city.json")


@pytest.mark.parametrize("line", ["gears = 2026-01-01", "gears = nan", 'gears = "7"', "gears = true", "gears = 7.0"])
def test_values_are_not_converted(line: str) -> None:
    """A date, a text, a truth or a fraction is no whole number, in TOML too."""
    text = f'name = "city"\nfront = {{ spokes = 36, rim_mm = 622.0 }}\n{line}\n'
    with pytest.raises(UserError, match="gears: "):
        Bicycle.from_text(text, origin="city.toml", toml=True)


def test_records_are_frozen() -> None:
    """Neither a record nor a part of it can be changed."""
    bicycle = Bicycle.from_text(json.dumps(good()), origin="memory")
    with pytest.raises(ValidationError):
        bicycle.gears = 8  # type: ignore[misc]
    with pytest.raises(ValidationError):
        bicycle.front.spokes = 8  # type: ignore[misc]


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_is_a_mismatch(version: object) -> None:
    """A file of another schema is refused before its fields are looked at."""
    raw = good() | {"schema_version": version, "wings": 2}
    with pytest.raises(MismatchError, match="reads Bicycle schema 1") as caught:
        Bicycle.from_text(json.dumps(raw), origin="shed.json")
    assert "wings" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "3", "null", '"text"', "[" * 100_000, '{"gears": ' + "9" * 5_000 + "}"]
)
def test_what_is_no_record_at_all_is_one_clear_error(text: str) -> None:
    """Text that is no JSON object is named as such, however odd it is."""
    with pytest.raises(UserError, match=r"^shed\.json"):
        Bicycle.from_text(text, origin="shed.json")


@given(data=st.data())
def test_damaged_files_never_surprise(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file with some bytes changed or cut off either still reads or gives a UserError, never another error."""
    content = bytearray(json.dumps(good()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        Bicycle.load(path)


def test_unreadable_paths_are_one_clear_error(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is not text each give a UserError with the path."""
    (tmp_path / "latin.json").write_bytes(b'{"name": "\xe9"}')
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / "latin.json"):
        with pytest.raises(UserError, match=str(path)):
            Bicycle.load(path)


def test_digests_tell_records_apart() -> None:
    """A changed value gives another digest; the order in which fields were given does not."""
    bicycle = Bicycle.model_validate_json(json.dumps(good()))
    turned = Bicycle.model_validate_json(json.dumps(dict(reversed(good().items()))))
    assert turned.digest() == bicycle.digest()
    assert bicycle.model_copy(update={"gears": 8}).digest() != bicycle.digest()
