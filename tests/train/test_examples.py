"""A training takes the labels that have enough recordings, the background, and what was generated; no more."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.tiny_run import RATE_HZ, write_sound, write_sounds
from toolkit.audio.dataset import load_dataset
from toolkit.audio.decode import read_audio
from toolkit.frontend import LogMel, reference_log_mel
from toolkit.shards.write import ShardOptions, write_shards
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Recipe
from toolkit.train.batches import Batches
from toolkit.train.examples import Examples, gather
from toolkit.train.features import log_mel

RECIPE = Recipe(name="test", base_width=8, min_train_clips=2, min_validation_clips=1)


def gathered(folder: Path, recipe: Recipe = RECIPE) -> Examples:
    """What a training with this recipe takes from a folder."""
    return gather(recipe, load_dataset(folder), lambda _what, _done, _total: None)


def test_labels_with_enough_recordings_are_trained(tmp_path: Path) -> None:
    """A label needs enough clips in both splits; a clip that has no other label is left out with it."""
    write_sounds(tmp_path, {"Dog": (2, 1), "Bell": (1, 1), "Siren": (3, 0), "Bell;Dog": (1, 0)})
    examples = gathered(tmp_path, RECIPE.model_copy(update={"min_train_clips": 3}))
    assert examples.labels == ("Dog",)
    assert {example.name for example in examples.train} == {
        *("Dog-train-0.wav", "Dog-train-1.wav", "Bell-Dog-train-0.wav")
    }
    assert {example.labels for example in examples.train} == {("Dog",)}
    assert [example.name for example in examples.validation] == ["Dog-validation-0.wav"]
    assert (examples.count("Dog", "train"), examples.count("Dog", "validation")) == (3, 1)
    assert examples.summary() == "3 recordings to train and 1 to validate, 0 generated sounds to train."


@pytest.mark.parametrize("counts", [(0, 2), (1, 2), (2, 0)])
def test_labels_that_are_not_trained_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, counts: tuple[int, int]
) -> None:
    """A label that training never hears, or too seldom, or that validation does not, is told by name."""
    write_sounds(tmp_path, {"Dog": (2, 1), "Bell": counts})
    assert gathered(tmp_path).labels == ("Dog",)
    assert "not trained: Bell" in caplog.text


def test_several_labels_of_a_clip_are_kept(tmp_path: Path) -> None:
    """A clip is trained for all of its labels; targets have a one for each of them."""
    write_sounds(tmp_path, {"Dog": (2, 1), "Bell": (2, 1), "Bell;Dog": (1, 1)})
    examples = gathered(tmp_path)
    both = [example for example in (*examples.train, *examples.validation) if len(example.labels) == 2]
    assert [example.labels for example in both] == [("Bell", "Dog")] * 2
    assert examples.targets(examples.validation).tolist() == [
        [float(label in example.labels) for label in ("Bell", "Dog")] for example in examples.validation
    ]
    assert examples.targets(both).tolist() == [[1.0, 1.0]] * 2


def test_background_is_heard_without_a_label(tmp_path: Path) -> None:
    """Clips without labels, and those of the background labels, train for nothing and validate against everything."""
    write_sounds(tmp_path, {"Dog": (2, 1), "Bell": (2, 1)}, background=2)
    examples = gathered(tmp_path, RECIPE.model_copy(update={"background_labels": ("Bell", "Unheard of")}))
    assert examples.labels == ("Dog",)
    names = {example.name for example in examples.train if not example.labels}
    assert names == {*("background-train-0.wav", "background-train-1.wav", "Bell-train-0.wav", "Bell-train-1.wav")}
    assert [example.labels for example in examples.validation if example.name.startswith("Bell")] == [()]


def test_class_folders_are_a_dataset_too(tmp_path: Path) -> None:
    """A folder for each class, with its splits, trains as a manifest does."""
    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for number in range(2):
            write_sound(tmp_path / split / "Dog" / f"{number}.wav", ["Dog"], rng)
            write_sound(tmp_path / split / "background" / f"{number}.wav", [], rng)
    examples = gathered(tmp_path)
    assert examples.labels == ("Dog",)
    assert sorted(example.name for example in examples.train) == sorted(
        f"train/{folder}/{number}.wav" for folder in ("Dog", "background") for number in range(2)
    )
    assert len(examples.validation) == 2 + 2


def test_a_broken_clip_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A clip that does not decode is reported, counted and not trained on; the rest goes on."""
    write_sounds(tmp_path, {"Dog": (3, 1)})
    whole = gathered(tmp_path)
    (tmp_path / "Dog-train-1.wav").write_bytes(b"RIFF....")
    examples = gathered(tmp_path)
    assert (whole.broken, examples.broken) == (0, 1)
    assert [example.name for example in examples.train] == ["Dog-train-0.wav", "Dog-train-2.wav"]
    assert "Dog-train-1.wav" in caplog.text
    assert examples.data_hash != whole.data_hash
    assert "1 broken ones left out" in examples.summary()
    assert [clip.name for clip in examples.clips if clip.split == "train"] == ["Dog-train-0.wav", "Dog-train-2.wav"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_label_whose_clips_are_all_broken_in_a_split_is_an_error(tmp_path: Path, split: str) -> None:
    """Without one clip to train on, or to validate on, a label cannot be trained: said before training begins."""
    write_sounds(tmp_path, {"Dog": (2, 2), "Bell": (2, 2)})
    for number in range(2):
        (tmp_path / f"Dog-{split}-{number}.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match=f"no {split} recording of Dog decodes"):
        gathered(tmp_path)


def test_without_a_label_there_is_nothing_to_train(tmp_path: Path) -> None:
    """Where no label has enough recordings, the error names what was asked for and how to ask for less."""
    write_sounds(tmp_path, {"Dog": (2, 0), "Bell": (0, 2)})
    with pytest.raises(UserError, match=r"no label has 2 training and 1 validation.*lower min_train_clips"):
        gathered(tmp_path)


def test_data_without_tiers_is_no_open_data(tmp_path: Path) -> None:
    """A recipe that takes tier `open` only is refused on recordings that name no tier, and another one is named."""
    for label in ("Dog", "Bell"):
        (tmp_path / label).mkdir()
        soundfile.write(tmp_path / label / "1.wav", np.zeros(800), 8000)
    with pytest.raises(UserError, match=r"tier open only, the data has none; use --recipe plain"):
        gathered(tmp_path, RECIPE.model_copy(update={"tier": "open"}))


def test_only_clips_of_the_tier_are_taken(tmp_path: Path) -> None:
    """With tier `open` a clip of any other tier is not touched."""
    write_sounds(tmp_path, {"Dog": (3, 1)})
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("group of Dog-train-1.wav,made up,open", "x,y,research"))
    (tmp_path / "Dog-train-1.wav").write_bytes(b"would not decode")
    examples = gathered(tmp_path, RECIPE.model_copy(update={"tier": "open"}))
    assert [example.name for example in examples.train] == ["Dog-train-0.wav", "Dog-train-2.wav"]
    assert examples.broken == 0


def test_generated_sounds_train_and_never_validate(tmp_path: Path) -> None:
    """As many as the recipe asks for, for their label alone, the same ones with the same seed; no recording of them."""
    write_sounds(tmp_path, {"Alarm": (2, 1), "Siren": (2, 1)})
    recipe = RECIPE.model_copy(update={"generated": {"Alarm": 2, "Siren": 1}})
    examples, again = gathered(tmp_path, recipe), gathered(tmp_path, recipe)
    made = [example for example in examples.train if example.generated]
    assert [example.labels for example in made] == [("Alarm",), ("Alarm",), ("Siren",)]
    assert not np.array_equal(made[0].log_mel, made[1].log_mel)
    for one, other in zip(made, [example for example in again.train if example.generated], strict=True):
        assert np.array_equal(one.log_mel, other.log_mel)
    assert not any(example.generated for example in examples.validation)
    assert len(examples.clips) == 6
    assert examples.count("Alarm", "train") == 2
    other_seed = gathered(tmp_path, recipe.model_copy(update={"seed": 1}))
    assert not np.array_equal(other_seed.train[-1].log_mel, made[-1].log_mel)


def test_sounds_are_generated_only_for_trained_labels(tmp_path: Path) -> None:
    """Asking for sirens where no siren is trained is an error, not a label of its own."""
    write_sounds(tmp_path, {"Alarm": (2, 1)})
    with pytest.raises(UserError, match="generates Siren sounds, but Siren is not among the trained labels"):
        gathered(tmp_path, RECIPE.model_copy(update={"generated": {"Siren": 1}}))


def test_features_are_those_of_the_front_end(tmp_path: Path) -> None:
    """A training clip's log-mel is that of the whole clip, a validation clip's that of ten seconds with zeros."""
    write_sounds(tmp_path, {"Dog": (2, 1)}, seconds=1.5)
    examples = gathered(tmp_path)
    spec = RECIPE.front_end
    for example, frames in ((examples.train[0], 150), (examples.validation[0], 1000)):
        waveform = read_audio(tmp_path / example.name, RATE_HZ)
        reference = reference_log_mel(np.pad(waveform, (0, 320 * frames - len(waveform))), spec)
        assert example.log_mel.shape == (frames, spec.mel_bins)
        # float16 has steps of 0.06 dB; far below a tone float32 errs more.
        loud = reference > reference.max() - 60
        np.testing.assert_allclose(example.log_mel[loud], reference[loud], atol=0.1)
        np.testing.assert_allclose(example.levels, (10 ** (reference / 10)).mean(axis=1), rtol=0.05, atol=1e-8)


def test_features_are_finite_for_extreme_sounds() -> None:
    """Silence and full-scale clips give log-mel that float16 holds."""
    front_end = LogMel(RECIPE.front_end)
    for waveform in (np.zeros(4000), np.ones(4000), np.tile([1.0, -1.0], 2000), np.full(4000, 1e-30)):
        features = log_mel(front_end, waveform.astype(np.float32))
        assert features.dtype == np.float16
        assert np.isfinite(features).all()


def test_progress_is_told(tmp_path: Path) -> None:
    """Each stage reports up to its total."""
    write_sounds(tmp_path, {"Alarm": (2, 1)})
    told: dict[str, list[tuple[int, int]]] = {}
    recipe = RECIPE.model_copy(update={"generated": {"Alarm": 1}})
    gather(recipe, load_dataset(tmp_path), lambda what, done, total: told.setdefault(what, []).append((done, total)))
    three = [(1, 3), (2, 3), (3, 3)]
    assert told == {"decoding": three, "front end": three, "generating Alarm": [(1, 1)]}


def test_one_sample_is_a_clip(tmp_path: Path) -> None:
    """The shortest clip there can be is trained on like any other."""
    write_sounds(tmp_path, {"Dog": (2, 1)})
    soundfile.write(tmp_path / "Dog-train-0.wav", np.array([0.5]), RATE_HZ)
    assert gathered(tmp_path).train[0].log_mel.shape == (1, RECIPE.front_end.mel_bins)


def test_clips_of_shards_are_heard_as_those_of_a_folder(tmp_path: Path) -> None:
    """Labels, targets, log-mel, background and batches are those of the recordings the shards were written from."""
    sounds = write_sounds(tmp_path / "sounds", {"Dog": (2, 1), "Bell": (2, 1), "Siren": (2, 1)}, background=1)
    recipe = RECIPE.model_copy(update={"background_labels": ("Bell",), "generated": {"Siren": 1}, "batch_size": 3})
    folder = gathered(sounds, recipe)
    write_shards(load_dataset(sounds), tmp_path / "shards", ShardOptions(), lambda _what, _done, _total: None)
    shards = gathered(tmp_path / "shards", recipe)
    assert shards.labels == folder.labels == ("Dog", "Siren")
    assert shards.summary() == folder.summary()
    for split in ("train", "validation"):
        one, other = ({example.name: example for example in getattr(of, split)} for of in (folder, shards))
        assert one.keys() == other.keys()
        for name, example in one.items():
            assert example.labels == other[name].labels
            assert (example.generated, example.group) == (other[name].generated, other[name].group)
            # Silence follows a short clip as samples in one and as frames in the other: two frames hold both.
            ours, theirs = (
                np.delete(of.log_mel, [100, 101][: len(of.log_mel) - 100], 0) for of in (example, other[name])
            )
            np.testing.assert_allclose(ours, theirs, atol=0.13)
    drawn = Batches(shards, recipe).draw("largest", 0)
    assert drawn.clean.shape == (3, 1, recipe.crop_frames, 64)
    assert np.array_equal(drawn.clean, Batches(shards, recipe).draw("largest", 0).clean)


def test_an_hour_is_heard_whole(tmp_path: Path) -> None:
    """An hour to train on is one example, to validate on 360 windows; neither takes much more memory than its sound."""
    rate_hz, hour_s = 4000, 3600
    front_end = FrontEndSpec(sample_rate_hz=rate_hz, window_samples=128, hop_samples=40, mel_bins=8, f_max_hz=1900.0)
    recipe = RECIPE.model_copy(update={"front_end": front_end})
    write_sounds(tmp_path, {"Dog": (2, 1)})
    noise = 0.1 * np.random.default_rng(1).standard_normal(rate_hz * hour_s).astype(np.float32)
    for split in ("train", "validation"):
        soundfile.write(tmp_path / f"Dog-{split}-0.wav", noise, rate_hz, subtype="PCM_16")
    before_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    examples = gathered(tmp_path, recipe)
    after_bytes = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [len(example.log_mel) for example in examples.train] == [100 * hour_s, 100]
    assert [len(example.log_mel) for example in examples.validation] == [1000] * 360
    assert after_bytes - before_bytes < 8 * noise.nbytes
    assert np.isfinite(Batches(examples, recipe).draw("largest", 0).masked).all()


def test_a_long_validation_clip_is_judged_in_windows(tmp_path: Path) -> None:
    """Every 10 s of a long recording is an example of its own, with the recording's labels; the last is filled up."""
    write_sounds(tmp_path, {"Dog": (2, 1)}, seconds=23.0)
    validation = gathered(tmp_path).validation
    assert [example.name.partition("#")[2] for example in validation] == ["t=0,10", "t=10,20", "t=20,30"]
    assert {example.labels for example in validation} == {("Dog",)}
    assert {example.group for example in validation} == {"group of Dog-validation-0.wav"}
    assert {len(example.log_mel) for example in validation} == {1000}
    assert validation[2].log_mel[310:].max() == -100
    assert validation[2].log_mel[:290].min() > -100
