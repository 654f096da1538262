"""Any network can teach: it hears each clip once, and a mixed crop is told to hold what its clips hold."""

from __future__ import annotations

import importlib
import json
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.train.teaching import RATE_HZ, RECIPE, SECONDS, WHOLE, by_hand, crops, examples, quiet, told
from toolkit.specs.errors import UserError
from toolkit.specs.teacher import TeacherSpec
from toolkit.supernet.norms import recalibrate
from toolkit.supernet.supernet import Supernet
from toolkit.train import teacher_cache
from toolkit.train.batches import Batches
from toolkit.train.examples import Example, Examples
from toolkit.train.teachers import (
    ClipTeacher,
    NetworkTeacher,
    cached_by_clip,
    is_augmentation_free,
    make_teacher,
)

__all__ = ["examples"]
DOCUMENT = Path(__file__).parents[2] / "docs" / "teachers.md"
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
