"""Any network can teach: it hears each clip once, and a mixed crop is told to hold what its clips hold."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.tiny_run import write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.lower.piece import Piece
from toolkit.lower.tflite import lower_tflite
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.recipe import Augmentation, Recipe
from toolkit.specs.teacher import TeacherSpec
from toolkit.supernet.norms import recalibrate
from toolkit.supernet.supernet import Supernet
from toolkit.train import teacher_cache
from toolkit.train.batches import Batch, Batches
from toolkit.train.examples import Example, Examples, gather
from toolkit.train.teacher_scores import TFLiteScores, windows
from toolkit.train.teachers import (
    ClipTeacher,
    NetworkTeacher,
    cached_by_clip,
    is_augmentation_free,
    make_teacher,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "teachers.md"
WHOLE = Augmentation(
    mix_probability=0,
    background_probability=0,
    silence_probability=0,
    level_db=(0, 0),
    band_limit_probability=0,
    noise_floor_probability=0,
)
"""Whole clips, unchanged but for the masks."""
RECIPE = Recipe(
    name="test",
    base_width=8,
    min_train_clips=2,
    min_validation_clips=1,
    generated={"Alarm": 1},
    crop_frames=104,
    batch_size=4,
    augmentation=WHOLE,
)
WINDOW = 1600
RATE_HZ = 16_000
SECONDS = 1.04
"""Of a clip: as long as a crop."""
FUNCTIONS = """
import torch

calls = []
left = [10**6]

def heard(sound):
    if not left[0]:
        raise RuntimeError("killed")
    left[0] -= 1
    calls.append(sound)

def peak(waveform):
    heard(waveform)
    return [abs(waveform).max(), 0.5, 0.25]

def loudest_bin(log_mel):
    heard(log_mel)
    loudest = 10 ** (log_mel.max() / 10)
    return torch.stack([loudest, loudest.new_tensor(0.5), loudest.new_tensor(0.25)]).clamp(0, 1)[None]

def dog_alone(waveform):
    return {"Dog": 0.75}

def cow(waveform):
    return {"Cow": 0.75}

def logits(waveform):
    return [3.5, -2.0, 0.0]

def broken(waveform):
    return [float("nan"), 0.0, 0.0]

def two(waveform):
    return [0.0, 1.0]

number = 5
"""


def quiet(what: str, done: int, total: int) -> None:
    """Shows no progress."""


def by_hand(*clips: Example, labels: Sequence[str] = ("A", "B", "C")) -> Examples:
    """Training clips alone."""
    return Examples(tuple(labels), clips, (), (), "0" * 16, 0)


def crops(*parts: tuple[str, ...]) -> Batch:
    """A batch of which a teacher of clips sees the names."""
    nothing = np.zeros((len(parts), 1, 8, 4), np.float32)
    return Batch(nothing, nothing, np.zeros((len(parts), 3), np.float32), parts)


def told(teacher: ClipTeacher, examples: Examples) -> dict[str, list[float]]:
    """What a teacher says of every training clip."""
    names = [example.name for example in examples.train]
    return dict(zip(names, teacher(crops(*((name,) for name in names))).tolist(), strict=True))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Three labels (Alarm, Dog, Siren), two training clips of a second each, a background and a generated alarm."""
    folder = tmp_path_factory.mktemp("sounds")
    write_sounds(folder, {"Alarm": (2, 1), "Siren": (2, 1), "Dog": (2, 1)}, background=1, seconds=SECONDS)
    return gather(RECIPE, load_dataset(folder), quiet)


@pytest.fixture(scope="module")
def recordings(examples: Examples) -> Examples:
    """The same without the generated alarm, which is longer than a crop."""
    return replace(examples, train=tuple(example for example in examples.train if not example.generated))


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The functions above, as a module that recipes can name `heard`."""
    (tmp_path / "heard.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "heard", raising=False)
    return importlib.import_module("heard")


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


# What is written in a recipe


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"kind": "tflite", "file": "a.tflite"}, "needs classes"),
        ({"kind": "tflite"}, "needs file and classes"),
        ({"kind": "table", "file": "a.npz"}, "needs classes"),
        ({"kind": "table", "file": "a.parquet", "classes": "c.csv"}, ".npz or a .csv file, found a.parquet"),
        ({"kind": "callable"}, "needs function"),
        ({"kind": "callable", "function": "module"}, '"package.module:name", found "module"'),
        ({"file": "a.tflite"}, 'kind "stage" has no file'),
        ({"kind": "table", "file": "a.csv", "function": "a:b"}, 'kind "table" has no function'),
        ({"kind": "table", "file": "a.csv", "label_map": {"Dog": ()}}, "names no class for Dog"),
    ],
)
def test_a_teacher_that_is_not_whole_is_refused(fields: dict[str, Any], fault: str) -> None:
    """A kind says which fields it needs and which have no place in it."""
    with pytest.raises(ValueError, match=re.escape(fault)):
        TeacherSpec(**fields)


def test_the_teachers_of_the_document_are_good() -> None:
    """Every example of the document is a recipe's teacher, of every kind."""
    blocks = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    specs = [TeacherSpec.model_validate_json(json.dumps(tomllib.loads(block)["teacher"])) for block in blocks]
    assert {spec.kind for spec in specs} == {"stage", "tflite", "table", "callable"}


# Clips and their mixtures


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[Examples, dict[str, np.ndarray], tuple[tuple[str, ...], ...]]:
    """Clips with any labels, scores for some of them and some of their labels, and crops of one to three of them."""
    sets = draw(st.lists(st.sets(st.sampled_from("ABC")), min_size=1, max_size=6))
    clips = [Example(f"clip {n}", np.zeros((8, 4), np.float16), tuple(sorted(own))) for n, own in enumerate(sets)]
    value = st.one_of(st.floats(0, 1, width=32), st.just(float("nan")))
    row = st.lists(value, min_size=3, max_size=3).map(lambda values: np.array(values, np.float32))
    scored = draw(st.sets(st.sampled_from([clip.name for clip in clips])))
    parts = st.lists(st.sampled_from([clip.name for clip in clips]), min_size=1, max_size=3).map(tuple)
    return by_hand(*clips), {name: draw(row) for name in scored}, tuple(draw(st.lists(parts, min_size=1, max_size=5)))


@given(mixtures())
def test_a_mixture_holds_what_its_clips_hold(
    case: tuple[Examples, dict[str, np.ndarray], tuple[tuple[str, ...], ...]],
) -> None:
    """At least what the surest clip holds, at most the sum, whatever the order; hard labels where there is no score."""
    examples, scores, parts = case
    teacher = ClipTeacher(examples, scores)
    hard = dict(zip([clip.name for clip in examples.train], examples.targets(examples.train), strict=True))
    single = {name: np.where(np.isnan(s := scores.get(name, hard[name])), hard[name], s) for name in hard}
    for name, row in told(teacher, examples).items():
        np.testing.assert_allclose(row, single[name], atol=1e-6)
    mixed = teacher(crops(*parts)).numpy()
    assert mixed.dtype == np.float32
    for row, names in zip(mixed, parts, strict=True):
        own = np.stack([single[name] for name in set(names)])
        assert (row >= own.max(axis=0) - 1e-6).all()
        assert (row <= np.minimum(own.sum(axis=0), 1) + 1e-6).all()
        certain = np.stack([hard[name] for name in names]).max(axis=0)
        unknown = np.stack([np.isnan(scores.get(name, np.full(3, np.nan))) for name in names]).all(axis=0)
        np.testing.assert_array_equal(row[unknown], certain[unknown])
    backwards = tuple(names[::-1] for names in parts)
    np.testing.assert_allclose(teacher(crops(*backwards)).numpy(), mixed, atol=1e-6)


def test_probabilities_of_two_clips_are_joined_as_independent_events() -> None:
    """Half and half make three quarters; a clip mixed with itself stays as it is."""
    clips = [Example(name, np.zeros((8, 4), np.float16), ("A",)) for name in ("one", "two")]
    teacher = ClipTeacher(by_hand(*clips), {clip.name: np.array([0.5, 0.1, 0.0], np.float32) for clip in clips})
    mixed = teacher(crops(("one", "two"), ("one", "one"))).numpy()
    np.testing.assert_allclose(mixed, [[0.75, 0.19, 0.0], [0.5, 0.1, 0.0]], atol=1e-6)


# Our own network


@pytest.fixture(scope="module")
def network(recordings: Examples) -> NetworkTeacher:
    """An untrained network."""
    torch.manual_seed(3)
    net = Supernet(RECIPE.search_space(), len(recordings.labels)).eval()
    subnet = net.space.smallest
    frames = torch.from_numpy(Batches(recordings, RECIPE).draw("calibration", 0).clean)
    return NetworkTeacher(net, subnet, recalibrate(net, frames, [subnet]))


def test_a_network_hears_the_clean_crops(recordings: Examples, network: NetworkTeacher) -> None:
    """Of more crops than it hears at once, each gets the probabilities that it gets alone."""
    batch = Batches(recordings, RECIPE).draw("kd", 0, range(35))
    assert (batch.clean != batch.masked).any()
    found = network(batch)
    assert found.shape == (35, 3)
    assert not found.requires_grad
    for row in (0, 31, 32, 34):
        alone = network.probabilities(torch.from_numpy(batch.clean[row : row + 1]))
        torch.testing.assert_close(found[row : row + 1], alone, atol=1e-5, rtol=1e-4)


def test_a_networks_answers_are_kept_where_crops_are_whole_clips(
    recordings: Examples, network: NetworkTeacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cached answers are those to the crops of a training, to half precision, and are found again on disk."""
    cached = cached_by_clip(network, recordings, RECIPE, tmp_path, quiet)
    batch = Batches(recordings, RECIPE).draw("kd", 0, range(16))
    torch.testing.assert_close(cached(batch), network(batch), atol=1e-3, rtol=0)

    with monkeypatch.context() as patch:
        patch.delattr(NetworkTeacher, "probabilities")
        again = cached_by_clip(network, recordings, RECIPE, tmp_path, quiet)
    assert torch.equal(again(batch), cached(batch))


def test_another_network_has_a_cache_of_its_own(recordings: Examples, network: NetworkTeacher, tmp_path: Path) -> None:
    """The same network has the same digest; other weights make another teacher."""
    assert network.digest() == network.digest()
    cached_by_clip(network, recordings, RECIPE, tmp_path, quiet)
    before = network.digest()
    weights = next(network._net.parameters())
    with torch.no_grad():
        weights[0] += 0.5
    try:
        assert network.digest() != before
        cached_by_clip(network, recordings, RECIPE, tmp_path, quiet)
    finally:
        with torch.no_grad():
            weights[0] -= 0.5
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"mix_probability": 0.1},
        {"background_probability": 0.1},
        {"silence_probability": 0.1},
        {"band_limit_probability": 0.1},
        {"noise_floor_probability": 0.1},
        {"level_db": (-1.0, 0.0)},
    ],
)
def test_an_augmented_training_needs_the_teacher_at_each_step(recordings: Examples, change: dict[str, Any]) -> None:
    """Whatever changes the clean crop makes a cache wrong, a crop of another length than the clip too; masks do not."""
    assert is_augmentation_free(RECIPE, recordings)
    changed = WHOLE.model_copy(update=change)
    assert not is_augmentation_free(RECIPE.model_copy(update={"augmentation": changed}), recordings)
    for frames in (96, 112):
        assert not is_augmentation_free(RECIPE.model_copy(update={"crop_frames": frames}), recordings)


# Other teachers


def test_a_function_hears_every_recording_once(examples: Examples, functions: Any, tmp_path: Path) -> None:
    """Waveforms come at the rate asked for; generated sounds keep hard labels; a second training calls nothing."""
    spec = TeacherSpec(kind="callable", function="heard:peak", sample_rate_hz=RATE_HZ)
    shown: list[tuple[str, int, int]] = []
    teacher = make_teacher(spec, examples, RECIPE, tmp_path, lambda *told: shown.append(told))
    assert shown == [("teacher", done, 7) for done in range(1, 8)]
    assert all(sound.shape == (round(SECONDS * RATE_HZ),) and sound.dtype == np.float32 for sound in functions.calls)
    answers = told(teacher, examples)
    recordings = [example.name for example in examples.train if not example.generated]
    for name, waveform in zip(recordings, functions.calls, strict=True):
        assert answers[name] == pytest.approx([abs(waveform).max(), 0.5, 0.25], abs=1e-3)
    assert answers["generated Alarm 0"] == [1, 0, 0]
    again = make_teacher(spec, examples, RECIPE, tmp_path, quiet)
    assert len(functions.calls) == 7
    assert told(again, examples) == answers


def test_a_killed_teacher_goes_on_where_it_stopped(
    examples: Examples, functions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clips of the parts that were written are not scored again, and the end is what an unbroken run gives."""
    monkeypatch.setattr(teacher_cache, "PART_CLIPS", 2)
    spec = TeacherSpec(kind="callable", function="heard:peak")
    unbroken = told(make_teacher(spec, examples, RECIPE, tmp_path / "one", quiet), examples)
    functions.calls.clear()
    functions.left[0] = 5
    with pytest.raises(RuntimeError, match="killed"):
        make_teacher(spec, examples, RECIPE, tmp_path / "two", quiet)
    functions.left[0] = 3
    teacher = make_teacher(spec, examples, RECIPE, tmp_path / "two", quiet)
    assert len(functions.calls) == 5 + 3
    assert told(teacher, examples) == unbroken


@pytest.mark.usefixtures("functions")
def test_a_damaged_cache_is_named(examples: Examples, tmp_path: Path) -> None:
    """A part that was cut short ends in one line that names it."""
    spec = TeacherSpec(kind="callable", function="heard:peak")
    make_teacher(spec, examples, RECIPE, tmp_path, quiet)
    (part,) = tmp_path.rglob("*.safetensors")
    part.write_bytes(part.read_bytes()[:-3])
    with pytest.raises(UserError, match=re.escape(part.name)):
        make_teacher(spec, examples, RECIPE, tmp_path, quiet)


def test_an_edited_function_is_another_teacher(examples: Examples, functions: Any, tmp_path: Path) -> None:
    """What a function said before its module was edited does not count any more."""
    spec = TeacherSpec(kind="callable", function="heard:peak")
    make_teacher(spec, examples, RECIPE, tmp_path / "cache", quiet)
    Path(functions.__file__).write_text(FUNCTIONS + "# edited\n")
    make_teacher(spec, examples, RECIPE, tmp_path / "cache", quiet)
    assert len(functions.calls) == 14


def test_a_function_can_take_the_front_ends_frames(examples: Examples, functions: Any, tmp_path: Path) -> None:
    """Log-mel [1, 1, T, F] of the whole clip, as our own network would hear it."""
    spec = TeacherSpec(kind="callable", function="heard:loudest_bin", takes="frames")
    answers = told(make_teacher(spec, examples, RECIPE, tmp_path, quiet), examples)
    recordings = [example for example in examples.train if not example.generated]
    for example, frames in zip(recordings, functions.calls, strict=True):
        assert torch.equal(frames, torch.from_numpy(example.log_mel.astype(np.float32))[None, None])
        loudest = min(1.0, 10 ** (float(example.log_mel.max()) / 10))
        assert answers[example.name] == pytest.approx([loudest, 0.5, 0.25], abs=1e-3)


@pytest.mark.usefixtures("functions")
def test_a_dict_answers_for_some_labels(examples: Examples, tmp_path: Path) -> None:
    """Labels that a function leaves out keep their hard labels."""
    answers = told(
        make_teacher(TeacherSpec(kind="callable", function="heard:dog_alone"), examples, RECIPE, tmp_path, quiet),
        examples,
    )
    assert answers["Siren-train-0.wav"] == [0, 0.75, 1]
    assert answers["Dog-train-1.wav"] == [0, 0.75, 0]


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        ("heard:logits", r"heard:logits, clip \S+\.wav: found the score 3.5, expected probabilities from 0 to 1"),
        ("heard:broken", r"clip \S+\.wav: found the score nan"),
        ("heard:two", r"clip \S+\.wav: found scores of shape \[2\], expected \[3\]"),
        ("heard:cow", r'clip \S+\.wav: unknown "Cow"'),
        ("heard:missing", "heard:missing is not there.*missing"),
        ("not_heard_of:peak", "not_heard_of:peak is not there"),
        ("heard:number", "heard:number is a int, expected something to call"),
    ],
)
@pytest.mark.usefixtures("functions")
def test_a_function_that_does_not_do_is_named(examples: Examples, tmp_path: Path, function: str, fault: str) -> None:
    """The message names the function, the clip and what came instead of probabilities."""
    with pytest.raises(UserError, match=fault):
        make_teacher(TeacherSpec(kind="callable", function=function), examples, RECIPE, tmp_path, quiet)


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
