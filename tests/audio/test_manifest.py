"""The manifest layout: what the rows say is what the clips are, and every fault of a file is told at once."""

from __future__ import annotations

import contextlib
import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.clip import SPLITS, split_labels
from toolkit.audio.manifest import read_manifest
from toolkit.specs.errors import UserError

LABEL = st.text("aZ é,'\"/-", min_size=1, max_size=8).map(lambda text: " ".join(text.split())).filter(bool)


def manifest(folder: Path, *lines: str) -> Path:
    """A manifest of these lines."""
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_all_columns(tmp_path: Path) -> None:
    """Every known column reaches the clip; paths are relative to the CSV; unknown columns are left alone."""
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "a.wav").write_bytes(b"12345")
    path = manifest(
        tmp_path,
        "\ufefffile,labels,split,group,dataset,tier,licence,duration_s",
        "audio/a.wav, Dog; Bark;Dog ,train,g1,pets,open,CC0,1.5",
        "audio/gone.wav,,validation,,,,,",
    )
    there, gone = read_manifest(path)
    assert (there.path, there.name, there.size_bytes) == (tmp_path / "audio/a.wav", "audio/a.wav", 5)
    assert (there.labels, there.split, there.group) == (("Bark", "Dog"), "train", "g1")
    assert (there.dataset, there.tier, there.licence) == ("pets", "open", "CC0")
    assert (gone.labels, gone.split, gone.group, gone.size_bytes) == ((), "validation", "audio/gone.wav", None)
    assert (gone.dataset, gone.tier, gone.licence) == (None, None, None)


@given(st.lists(st.tuples(st.lists(LABEL, max_size=3), st.sampled_from(SPLITS)), max_size=6))
def test_rows_come_back(rows: list[tuple[list[str], str]]) -> None:
    """Labels with commas, quotes and accents survive the CSV; the path column may be called path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clips.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["split", "path", "labels"])
            writer.writerows([split, f"{index}.wav", ";".join(labels)] for index, (labels, split) in enumerate(rows))
        clips = read_manifest(path)
    assert [clip.labels for clip in clips] == [tuple(sorted(set(labels))) for labels, _ in rows]
    assert [clip.split for clip in clips] == [split for _, split in rows]


@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(st.text('a,;"\n\x00#/~ \u2028', max_size=30), max_size=8).map(
            lambda lines: "file,labels,split\n" + "\n".join(lines)
        ),
        st.text(max_size=40).map(lambda name: f'path,labels,split\n"{name}",x,train\n'),
    )
)
def test_arbitrary_text(text: str) -> None:
    """Any text gives clips or a UserError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "manifest.csv")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(UserError):
            assert all(clip.split in SPLITS for clip in read_manifest(path))


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Each wrong row is named with its line; one group in two splits and a clip listed twice are faults."""
    path = manifest(
        tmp_path,
        "file,labels,split,group",
        "a.wav,Dog,train,g1",
        "b.wav,Dog,trian,g2",
        "a.wav,Cat,train,g3",
        "c.wav,Dog",
        "",
        ",Dog,train,g4",
        "d.wav,Dog,validation,g1",
    )
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    head, *faults = str(caught.value).splitlines()
    assert "5 faults" in head
    starts = (
        "line 3: split 'trian'",
        "line 4: a.wav stands on line 2",
        "line 5: found 2",
        "line 7: path",
        "line 8: group g1",
    )
    assert [fault.strip().startswith(start) for fault, start in zip(faults, starts, strict=True)] == [True] * 5


def test_many_faults_are_counted(tmp_path: Path) -> None:
    """A hundred wrong rows are counted; the first ones are shown."""
    with pytest.raises(UserError, match="100 faults") as caught:
        read_manifest(manifest(tmp_path, "file,labels,split", *(f"{index}.wav,Dog,x" for index in range(100))))
    assert "line 2: " in str(caught.value)
    assert "and 80 more" in str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("file,label,split", "'label': did you mean labels"),
        ("Path,labels,split", "'Path': did you mean path"),
        ("file,labels,split,license", "'license': did you mean licence"),
        ("file,labels", "no column split, found path, labels"),
        ("file,path,labels,split", "column path stands there twice"),
    ],
)
def test_wrong_columns(tmp_path: Path, header: str, message: str) -> None:
    """A near miss of a column is named, an absent or doubled one too, on line 1."""
    with pytest.raises(UserError, match=f"line 1: .*{message}"):
        read_manifest(manifest(tmp_path, header))


def test_what_is_no_csv(tmp_path: Path) -> None:
    """An empty file, one that is not UTF-8, an open quote and a missing file each say so."""
    with pytest.raises(UserError, match="is empty"):
        read_manifest(manifest(tmp_path))
    with pytest.raises(UserError, match=r"line 2: not CSV"):
        read_manifest(manifest(tmp_path, "file,labels,split", 'a.wav,"Dog,train'))
    (tmp_path / "manifest.csv").write_bytes(b"file,labels,split\n\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_manifest(tmp_path / "manifest.csv")
    with pytest.raises(UserError, match="does not exist"):
        read_manifest(tmp_path / "gone.csv")


def test_a_label_is_one_line() -> None:
    """Line breaks inside a quoted cell, of whatever kind, are spaces."""
    assert split_labels("Wi\nnd; a\u2028b ;Wi nd") == ("Wi nd", "a b")
