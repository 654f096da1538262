"""A table as a picture: both formats, the same bytes each time, of every kind of table."""

from __future__ import annotations

from pathlib import Path

from tests.profile.test_table import FRONT_END, table_of
from toolkit.profile.picture import draw_table
from toolkit.specs.space import preset_space


def test_a_table_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    """PNG and SVG, by name; the SVG says whose table it is and names every size of convolution."""
    table = table_of(preset_space("ew-layerwise", 16))
    first = draw_table(table, FRONT_END, tmp_path / "first")
    again = draw_table(table, FRONT_END, tmp_path / "again")
    assert [path.name for path in first] == ["first.png", "first.svg"]
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes().startswith(b"\x89PNG")
    text = first[1].read_text()
    for words in ("board: tflite 2.14.0, int8, stream", "12x8, interpolated", "12x8, measured", "front_end 96x64"):
        assert f"<!-- {words}" in text
