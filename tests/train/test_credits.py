"""Credits: what a dataset says of its recordings is taken over into the Run."""

from __future__ import annotations

import csv
from pathlib import Path

from toolkit.audio.clip import Clip
from toolkit.train.credits import COLUMNS, write_credits


def clip(root: Path, name: str) -> Clip:
    """A clip of the dataset in `root`; its sound is never read."""
    return Clip(root / name, name, ("Bird", "Wind"), "train", "tape 3", 10, dataset="birds", licence="CC-BY-4.0")


def rows(path: Path) -> list[dict[str, str]]:
    """What was written."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_datasets_own_table_gives_title_and_author(tmp_path: Path) -> None:
    """Title and author come from the table beside the dataset; a clip that it leaves out has none."""
    (tmp_path / "CREDITS.csv").write_text(
        'file,title_or_source,author\na/1.ogg,"Wren, at dawn",Anna\n', encoding="utf-8"
    )
    write_credits(tmp_path / "out.csv", [clip(tmp_path, "b/2.ogg"), clip(tmp_path, "a/1.ogg")])
    first, second = rows(tmp_path / "out.csv")
    assert tuple(first) == COLUMNS
    stated = {"labels": "Bird;Wind", "split": "train", "source": "tape 3", "dataset": "birds", "licence": "CC-BY-4.0"}
    assert first == {"file": "a/1.ogg", "title": "Wren, at dawn", "author": "Anna"} | stated
    assert second == {"file": "b/2.ogg", "title": "", "author": ""} | stated


def test_a_dataset_without_a_table_is_credited_all_the_same(tmp_path: Path) -> None:
    """Every recording stands in the credits, whether or not its dataset names authors."""
    write_credits(tmp_path / "out.csv", [clip(tmp_path, "1.ogg")])
    assert [row["file"] for row in rows(tmp_path / "out.csv")] == ["1.ogg"]
