"""Teachers that are files: TFLite models with a label map, and tables of scores."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.train.teaching import RECIPE, examples, quiet, told
from toolkit.lower.piece import Piece
from toolkit.lower.tflite import lower_tflite
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.teacher import TeacherSpec
from toolkit.train.examples import Examples
from toolkit.train.teacher_scores import TFLiteScores, windows
from toolkit.train.teachers import (
    make_teacher,
)

__all__ = ["examples"]
WINDOW = 1600


@pytest.fixture(scope="module")
def tflite(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A TFLite file that gives the maximum, the mean and the minimum of the magnitude, and a list of these classes."""

    class Levels(nn.Module):
        def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
            level = waveform.abs()
            return torch.stack([level.amax(1), level.mean(1), -(-level).amax(1)], 1), level[:, :2]

    piece = Piece(Levels().eval(), (torch.zeros(1, WINDOW),), ("waveform",), ("scores", "embedding"))
    folder = tmp_path_factory.mktemp("teacher")
    (folder / "levels.tflite").write_bytes(lower_tflite(piece))
    (folder / "classes.csv").write_text('index,mid,display_name\n0,/m/1,"Top, peak"\n1,/m/2,Middle\n2,/m/3,Bottom\n')
    return folder / "levels.tflite", folder / "classes.csv"


@given(samples=st.integers(1, 700), window=st.integers(1, 200))
def test_windows_cover_a_clip(samples: int, window: int) -> None:
    """Every sample stands in a window, neighbours share half of it, no window but the first is zeros alone."""
    waveform = np.arange(1, samples + 1, dtype=np.float32)
    found = windows(waveform, window)
    assert found.shape[1] == window
    assert set(found.ravel()) - {0} == set(waveform)
    hop = (window + 1) // 2
    for one, other in itertools.pairwise(found):
        np.testing.assert_array_equal(one[hop:], other[: window - hop])
    assert found.any(axis=1).all()


def test_a_tflite_file_hears_an_event_anywhere(tflite: tuple[Path, Path]) -> None:
    """A clip of any length has the greatest score of its windows."""
    teacher = TFLiteScores(tflite[0], ("Top, peak", "Middle", "Bottom"))
    for samples in (1, WINDOW - 1, WINDOW, 3 * WINDOW + 7):
        for place in {0, samples // 2, samples - 1}:
            waveform = np.full(samples, 0.125, np.float32)
            waveform[place] = -0.75
            top, middle, _ = teacher("clip", waveform)
            assert top == 0.75
            assert 0 < middle < 0.75
    assert teacher("clip", np.full(WINDOW, 0.25, np.float32)) == pytest.approx(0.25)


def test_a_tflite_file_teaches_through_a_label_map(
    examples: Examples, tflite: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The surest of a label's classes counts; labels that are not in the map keep their hard labels, and are named."""
    label_map = {"Dog": ("Middle", "Top, peak"), "Siren": ("Bottom",), "Cow": ("Bottom",)}
    spec = TeacherSpec(kind="tflite", file=str(tflite[0]), classes=str(tflite[1]), label_map=label_map)
    answers = told(make_teacher(spec, examples, RECIPE, tmp_path, quiet), examples)
    assert "hard labels are used for: Alarm" in caplog.text
    for name in ("Alarm-train-0.wav", "Dog-train-1.wav", "background-train-0.wav"):
        alarm, dog, siren = answers[name]
        assert alarm == float(name.startswith("Alarm"))
        assert 0.02 < dog <= 1
        assert siren < 0.02
    assert answers["Dog-train-1.wav"][1] > 0.15 > answers["background-train-0.wav"][1]


@pytest.mark.parametrize(
    ("label_map", "fault"),
    [
        ({"Dog": ("Midle", "Bark")}, r'no class "Midle" \(did you mean Middle\?\), "Bark"'),
        (
            {"Dog": ("Middle",), "Sirene": ("Bottom",)},
            r'not among the trained labels: "Sirene" \(did you mean Siren\?\)',
        ),
        ({"Cow": ("Middle",)}, "knows none of the trained labels"),
        ({}, "knows none of the trained labels"),
    ],
)
def test_a_label_map_of_other_names_is_refused(
    examples: Examples, tflite: tuple[Path, Path], tmp_path: Path, label_map: dict[str, tuple[str, ...]], fault: str
) -> None:
    """Unknown classes and misspelt labels are named before a clip is scored."""
    spec = TeacherSpec(kind="tflite", file=str(tflite[0]), classes=str(tflite[1]), label_map=label_map)
    with pytest.raises(UserError, match=fault):
        make_teacher(spec, examples, RECIPE, tmp_path, quiet)
    assert not list(tmp_path.iterdir())


def test_a_tflite_file_that_does_not_do_is_refused(tflite: tuple[Path, Path], tmp_path: Path) -> None:
    """Another number of classes, no model at all, no file."""
    with pytest.raises(MismatchError, match=r"expected 4 float32 values, one a class"):
        TFLiteScores(tflite[0], ("a", "b", "c", "d"))
    (tmp_path / "no.tflite").write_bytes(b"no model")
    with pytest.raises(UserError, match="no TFLite file that can be run"):
        TFLiteScores(tmp_path / "no.tflite", ("a",))
    with pytest.raises(UserError, match="does not exist"):
        TFLiteScores(tmp_path / "missing.tflite", ("a",))


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_a_table_teaches(
    examples: Examples, tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores go by clip name from files named from this folder; clips and labels without one keep their hard labels."""
    monkeypatch.chdir(tmp_path)
    clips = ["Dog-train-0.wav", "Siren-train-1.wav", "of other data.wav"]
    scores = np.array([[0.5, 0.25], [np.nan, 0.75], [1.0, 1.0]], np.float16)
    if suffix == ".npz":
        Path("classes.csv").write_text("index,display_name\n0,Dog\n1,Siren\n")
        np.savez("table.npz", clip=np.array(clips), scores=scores)
        spec = TeacherSpec(kind="table", file="table.npz", classes="classes.csv")
    else:
        cells = [
            ",".join([name, *("" if np.isnan(p) else str(p) for p in row)])
            for name, row in zip(clips, scores, strict=True)
        ]
        Path("table.csv").write_text("\n".join(["clip,Dog,Siren", *cells]))
        spec = TeacherSpec(kind="table", file="table.csv")
    answers = told(make_teacher(spec, examples, RECIPE, tmp_path / "cache", quiet), examples)
    assert answers["Dog-train-0.wav"] == [0, 0.5, 0.25]
    assert answers["Siren-train-1.wav"] == [0, 0, 0.75]
    assert answers["Alarm-train-0.wav"] == [1, 0, 0]
    assert "no score for 5 of 7 clips" in caplog.text
    assert not (tmp_path / "cache").exists(), "a table is a cache already"


def write_pickled(path: Path) -> None:
    """A table that would run code when it is read."""
    np.savez(path, clip=np.array(["a", None], dtype=object), scores=np.zeros((2, 2)))


def write_shape(path: Path) -> None:
    """A table with a score too many."""
    np.savez(path, clip=np.array(["a"]), scores=np.zeros((1, 3)))


def write_other_names(path: Path) -> None:
    """A table of other clips."""
    np.savez(path, clip=np.array(["b.wav"]), scores=np.zeros((1, 2)))


def write_logits(path: Path) -> None:
    """A table of what is no probability."""
    np.savez(path, clip=np.array(["a", "b"]), scores=np.array([[0, 1], [0.5, 7]]))


@pytest.mark.parametrize(
    ("write", "fault"),
    [
        (write_pickled, "allow_pickle"),
        (write_shape, r"shape \[1, 3\], expected 1 clips and 2 classes"),
        (write_other_names, "none of the training clips: it names b.wav and so on, the data "),
        (write_logits, "clip b: found the score 7 for Siren"),
        (lambda path: path.write_text("no table"), "is no npz file"),
    ],
)
def test_a_table_that_does_not_do_is_refused(
    examples: Examples, tmp_path: Path, write: Callable[[Path], None], fault: str
) -> None:
    """Nothing is unpickled, and what is wrong is named."""
    (tmp_path / "classes.csv").write_text("index,display_name\n0,Dog\n1,Siren\n")
    write(tmp_path / "table.npz")
    spec = TeacherSpec(kind="table", file=str(tmp_path / "table.npz"), classes=str(tmp_path / "classes.csv"))
    with pytest.raises(UserError, match=fault):
        make_teacher(spec, examples, RECIPE, tmp_path, quiet)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name\nDog\n", "needs the columns index and display_name"),
        ("index,display_name\n0,Dog\n2,Siren\n", "must count 0, 1, 2"),
        ("index,display_name\n0,Dog\n1,Dog\n", "a display_name of its own"),
        ("index,display_name\n0,Dog,Bark\n", "row 2: not as many fields"),
    ],
)
def test_a_list_of_classes_that_does_not_do_is_refused(
    examples: Examples, tmp_path: Path, text: str, fault: str
) -> None:
    """The order of the classes is the order of the scores, so it must be certain."""
    (tmp_path / "classes.csv").write_text(text)
    spec = TeacherSpec(kind="table", file="table.npz", classes=str(tmp_path / "classes.csv"))
    with pytest.raises(UserError, match=fault):
        make_teacher(spec, examples, RECIPE, tmp_path, quiet)
