"""AudioSet's layout: comment lines, quoted mids, the accepted file names, splits by the name of the CSV."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.audioset import CLASS_INDEX, read_audioset
from toolkit.specs.errors import UserError

INDEX = 'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/t/dd1,"Male speech, man speaking"\n2,/m/0bt9lr,"Dog"\n'
HEAD = "# Segments csv created by hand\n# num_ytids=3\n# YTID, start_seconds, end_seconds, positive_labels\n"


def audioset(root: Path, clips: tuple[str, ...] = (), **tables: str) -> Path:
    """A folder with the class index, segment CSVs and files that look like clips."""
    (root / CLASS_INDEX).write_text(INDEX)
    for name, rows in tables.items():
        (root / f"{name}.csv").write_text(HEAD + rows)
    for name in clips:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"sound")
    return root


def test_segments_become_clips(tmp_path: Path) -> None:
    """Mids become display names, each CSV a split, and the video the group; files may lie in any folder below."""
    audioset(
        tmp_path,
        ("eval/--4gqARaEJE.wav", "wav/deep/-0mjrMposBM.ogg"),
        eval_segments='--4gqARaEJE, 0.000, 10.000, "/m/0bt9lr,/t/dd1"\n',
        balanced_train_segments='-0mjrMposBM, 80.000, 90.000, "/m/09x0r"\n',
        my_valid='gone, 1.500, 2.500, "/m/09x0r"\n',
    )
    clips = {clip.name: (clip.labels, clip.split, clip.group, clip.size_bytes) for clip in read_audioset(tmp_path)}
    assert clips == {
        "eval/--4gqARaEJE.wav": (("Dog", "Male speech, man speaking"), "test", "--4gqARaEJE", 5),
        "wav/deep/-0mjrMposBM.ogg": (("Speech",), "train", "-0mjrMposBM", 5),
        "gone_1.5": (("Speech",), "validation", "gone", None),
    }


@pytest.mark.parametrize(
    "stem", ["{0}", "{0}_30", "{0}_30.000", "{0}_30000", "{0}_30_40", "{0}_30.000_40.000", "{0}_30000_40000"]
)
@pytest.mark.parametrize("front", ["", "Y"])
@pytest.mark.parametrize("suffix", [".wav", ".FLAC"])
def test_accepted_names(tmp_path: Path, stem: str, front: str, suffix: str) -> None:
    """Each usual way to name a cut segment is found."""
    name = front + stem.format("Abc_-12") + suffix
    audioset(tmp_path, (name,), train='Abc_-12, 30.000, 40.000, "/m/0bt9lr"\n')
    assert [clip.name for clip in read_audioset(tmp_path) if clip.size_bytes] == [name]


def test_two_segments_of_one_video(tmp_path: Path) -> None:
    """Names with a start keep two segments apart; one file for both is a fault."""
    rows = 'abc, 0.000, 10.000, "/m/0bt9lr"\nabc, 20.000, 30.000, "/m/09x0r"\n'
    audioset(tmp_path, ("abc_0.wav", "abc_20.wav"), train=rows)
    assert {clip.name: clip.labels for clip in read_audioset(tmp_path)} == {
        "abc_0.wav": ("Dog",),
        "abc_20.wav": ("Speech",),
    }
    (tmp_path / "abc_0.wav").rename(tmp_path / "abc.wav")
    (tmp_path / "abc_20.wav").unlink()
    with pytest.raises(UserError, match=r"line 5: abc from 20 s: .* is taken by train\.csv, line 4"):
        read_audioset(tmp_path)


def test_all_faults_at_once(tmp_path: Path) -> None:
    """Wrong rows are named with their lines, comments counted."""
    rows = (
        'abc, 0.000, 10.000, "/m/nope"',
        'abc, 10, 5, "/m/0bt9lr"',
        'abc, nan, x, "/m/0bt9lr"',
        "abc",
        "../up, 0, 1, /m/0bt9lr",
    )
    audioset(tmp_path, train="\n".join(rows))
    with pytest.raises(UserError) as caught:
        read_audioset(tmp_path)
    head, *faults = str(caught.value).splitlines()
    assert "5 faults" in head
    starts = ("line 4: unknown mid /m/nope", "line 5: segment", "line 6: segment", "line 7: found 1", "line 8: YTID")
    assert [fault.strip().startswith(start) for fault, start in zip(faults, starts, strict=True)] == [True] * 5


def test_wrong_class_index(tmp_path: Path) -> None:
    """A class index with a short row, and one with no class, are errors."""
    audioset(tmp_path, train="")
    (tmp_path / CLASS_INDEX).write_text("index,mid,display_name\n0,/m/09x0r\n")
    with pytest.raises(UserError, match="line 2: found '0,/m/09x0r', expected index,mid,display_name"):
        read_audioset(tmp_path)
    (tmp_path / CLASS_INDEX).write_text("index,mid,display_name\n")
    with pytest.raises(UserError, match="lists no class"):
        read_audioset(tmp_path)


def test_csv_of_no_split(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A CSV whose name tells no split is left out with a warning; with none left it is an error."""
    audioset(tmp_path, ("abc.wav",), other="nonsense\n", train='abc, 0, 10, "/m/0bt9lr"\n')
    assert len(read_audioset(tmp_path)) == 1
    assert "other.csv is left out" in caplog.text
    (tmp_path / "train.csv").unlink()
    with pytest.raises(UserError, match="holds no segment CSV"):
        read_audioset(tmp_path)


@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(st.text('abc/m09x0r,." \n\x00-', max_size=40), max_size=6).map("\n".join),
        st.text(max_size=12).map(lambda video: f'{video}, 0.000, 10.000, "/m/09x0r"\n'),
    )
)
def test_arbitrary_segments(text: str) -> None:
    """Any segment CSV gives clips or a UserError."""
    with tempfile.TemporaryDirectory() as folder:
        root = audioset(Path(folder))
        (root / "train.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(UserError):
            assert all(clip.split == "train" for clip in read_audioset(root))
