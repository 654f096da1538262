"""Batches depend on seed, stage, step and row alone, name what is in them, and are never out of bounds."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.teaching import WHOLE
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.recipe import Augmentation, Recipe
from toolkit.train.batches import Batches, crop_power, mask
from toolkit.train.examples import Example, Examples

QUIET = WHOLE.model_copy(update={"time_masks": 0, "frequency_masks": 0})
"""Crops as they are."""
FLOOR_DB = -100.0
# 2^-4 dB is a step of float16 between 64 and 128 dB.
STEP_DB = 0.0625


def recipe(augmentation: Augmentation = QUIET, mel_bins: int = 8, **fields: object) -> Recipe:
    """A recipe for crops of 16 frames, unless told otherwise."""
    spec = FrontEndSpec(mel_bins=mel_bins)
    plain: dict[str, object] = {"name": "test", "batch_size": 16, "crop_frames": 16}
    return Recipe.model_validate(plain | {"front_end": spec, "augmentation": augmentation} | fields)


def examples(*clips: Example) -> Examples:
    """Training clips alone."""
    labels = tuple(sorted({label for clip in clips for label in clip.labels}))
    return Examples(labels, clips, (), (), "0" * 16, 0)


def clip(
    labels: str, frames: int = 20, mel_bins: int = 8, seed: int = 0, generated: bool = False, name: str = ""
) -> Example:
    """A clip of noise, log-mel between -80 and 0 dB; its name tells its labels."""
    noise = np.random.default_rng(seed).uniform(-80, 0, (frames, mel_bins)).astype(np.float16)
    return Example(name or labels or "(none)", noise, tuple(labels.split(";")) if labels else (), generated)


def flat(labels: str, level_db: float, frames: int = 20, bins: slice = slice(None), name: str = "") -> Example:
    """A clip with one level in some bands and nothing in the others."""
    log_mel = np.full((frames, 8), FLOOR_DB, dtype=np.float16)
    log_mel[:, bins] = level_db
    return Example(name or labels or "(none)", log_mel, tuple(labels.split(";")) if labels else ())


@st.composite
def plans(draw: st.DrawFn) -> tuple[Recipe, Examples]:
    """Any recipe with any clips: from one frame on, some with several labels, some with none, some generated."""
    mel_bins = draw(st.integers(1, 20))
    probability = st.sampled_from([0.0, 0.5, 1.0])
    augmentation = Augmentation(
        mix_probability=draw(probability),
        background_probability=draw(probability),
        silence_probability=draw(probability),
        band_limit_probability=draw(probability),
        noise_floor_probability=draw(probability),
        time_masks=draw(st.integers(0, 3)),
        time_mask_frames=draw(st.integers(0, 40)),
        frequency_masks=draw(st.integers(0, 3)),
        frequency_mask_bins=draw(st.integers(0, 30)),
    )
    labels = draw(st.lists(st.sampled_from(["A", "B", "A;B", "B;C", ""]), max_size=6))
    clips = [
        clip(text, draw(st.integers(1, 60)), mel_bins, seed, bool(text) and draw(st.booleans()))
        for seed, text in enumerate(["A", "B", "C", *labels])
    ]
    # A label always has a recording.
    clips[:3] = [clip(text, draw(st.integers(1, 60)), mel_bins, seed) for seed, text in enumerate("ABC", start=90)]
    plan = recipe(
        augmentation,
        mel_bins,
        batch_size=draw(st.integers(1, 6)),
        crop_frames=8 * draw(st.integers(1, 6)),
        seed=draw(st.integers(0, 99)),
    )
    return plan, examples(*clips)


@settings(max_examples=80)
@given(plan=plans(), stage=st.sampled_from(["teacher", "largest", "supernet"]), step=st.integers(0, 9))
def test_any_batch_is_in_bounds(plan: tuple[Recipe, Examples], stage: str, step: int) -> None:
    """Shapes are the recipe's, levels are finite and not below the floor, targets are the labels of the clips named."""
    how, clips = plan
    batch = Batches(clips, how).draw(stage, step)
    assert batch.clean.shape == batch.masked.shape == (how.batch_size, 1, how.crop_frames, how.front_end.mel_bins)
    assert batch.targets.shape == (how.batch_size, 3)
    for levels in (batch.clean, batch.masked):
        assert levels.dtype == np.float32
        assert np.isfinite(levels).all()
        assert FLOOR_DB - 1e-3 <= levels.min() <= levels.max() < 60
    labels_of = {example.name: example.labels for example in clips.train}
    for row, names in zip(batch.targets, batch.parts, strict=True):
        heard = {label for name in names for label in labels_of[name]}
        assert {label for label, one in zip(clips.labels, row, strict=True) if one == 1.0} == heard
        assert set(row) <= {0.0, 1.0}


@settings(max_examples=25)
@given(plan=plans(), stage=st.sampled_from(["teacher", "largest", "supernet"]), step=st.integers(0, 9))
def test_a_step_draws_the_same_batch_again(plan: tuple[Recipe, Examples], stage: str, step: int) -> None:
    """Whatever was drawn before, a step's batch is the same to the bit."""
    how, clips = plan
    first, later = Batches(clips, how), Batches(clips, how)
    for other in range(step):
        later.draw(stage, other)
    one, two = first.draw(stage, step), later.draw(stage, step)
    assert np.array_equal(one.clean, two.clean)
    assert np.array_equal(one.masked, two.masked)
    assert np.array_equal(one.targets, two.targets)
    assert one.parts == two.parts


def test_seed_stage_and_step_each_make_another_batch() -> None:
    """No two of them draw the same crops."""
    clips = examples(clip("A", 400), clip("B", 400, seed=1))
    drawn = [
        Batches(clips, recipe(seed=seed)).draw(stage, step).clean
        for seed, stage, step in itertools.product((0, 1), ("teacher", "largest", "supernet"), (0, 1))
    ]
    assert not any(np.array_equal(one, other) for one, other in itertools.combinations(drawn, 2))


@settings(max_examples=25)
@given(plan=plans(), data=st.data())
def test_rows_drawn_apart_make_the_batch(plan: tuple[Recipe, Examples], data: st.DataObject) -> None:
    """Processes that share a batch draw its rows apart: row by row they are those of the whole batch."""
    how, clips = plan
    rows = data.draw(st.lists(st.integers(0, how.batch_size - 1), min_size=1, max_size=4))
    whole, some = Batches(clips, how).draw("largest", 3), Batches(clips, how).draw("largest", 3, rows)
    assert np.array_equal(whole.clean[rows], some.clean)
    assert np.array_equal(whole.masked[rows], some.masked)
    assert some.parts == tuple(whole.parts[row] for row in rows)


@given(first=st.integers(0, 5), count=st.integers(0, 4))
def test_batches_drawn_ahead_are_those_of_their_steps(first: int, count: int) -> None:
    """Drawing the next batch while one is used changes nothing and leaves none out."""
    batches = Batches(examples(clip("A", 60), clip("B", 60, seed=1)), recipe(batch_size=2))
    ahead = list(batches.each("largest", range(first, first + count), range(2)))
    alone = [batches.draw("largest", step) for step in range(first, first + count)]
    assert [batch.parts for batch in ahead] == [batch.parts for batch in alone]
    assert all(np.array_equal(one.masked, other.masked) for one, other in zip(ahead, alone, strict=True))


def test_clips_can_be_drawn_evenly() -> None:
    """With draw = "clips" a label with fifty clips comes fifty times as often as one with one."""
    clips = examples(clip("A"), *(clip("B", seed=seed) for seed in range(50)))
    batch = Batches(clips, recipe(draw="clips")).draw("largest", 0, range(3000))
    counts = Counter(name for names in batch.parts for name in names)
    # Binomial with mean 59 and deviation 7.6.
    assert 25 < counts["A"] < 95


def test_a_batch_has_the_size_asked_for() -> None:
    """The recipe's size, or another for calibration."""
    batches = Batches(examples(clip("A")), recipe(batch_size=3))
    assert len(batches.draw("largest", 0).clean) == 3
    assert len(batches.draw("calibration", 0, range(7)).clean) == 7


def test_labels_are_drawn_evenly() -> None:
    """A label with one clip comes as often as one with fifty; background counts as one more label."""
    clips = examples(clip("A"), *(clip("B", seed=seed) for seed in range(50)), *(clip("") for _ in range(9)))
    batch = Batches(clips, recipe()).draw("largest", 0, range(3000))
    counts = Counter(name for names in batch.parts for name in names)
    # Binomial with mean 1000 and deviation 26.
    assert all(870 < counts[name] < 1130 for name in ("A", "B", "(none)"))


def test_half_of_a_labels_draws_are_generated() -> None:
    """A few recordings are not drowned by many generated sounds, nor the other way round."""
    made = [clip("A", seed=seed, generated=True, name="made") for seed in range(90)]
    batch = Batches(examples(clip("A"), *made), recipe()).draw("largest", 0, range(2000))
    counts = Counter(name for names in batch.parts for name in names)
    assert 880 < counts["made"] < 1120
    assert counts["made"] + counts["A"] == 2000


def test_a_quiet_recipe_gives_crops_as_they_are() -> None:
    """Without augmentation a crop is a piece of its clip, to the rounding of float16."""
    source = clip("A", frames=40)
    batch = Batches(examples(source), recipe()).draw("largest", 0)
    pieces = [source.log_mel[start : start + 16].astype(np.float32) for start in range(25)]
    for crop in batch.clean[:, 0]:
        assert min(np.abs(crop - piece).max() for piece in pieces) < 1e-3
    assert np.array_equal(batch.clean, batch.masked)


def test_sounds_are_mixed_at_the_ratio_drawn() -> None:
    """Two clips of any levels, in bands of their own, come out with their loudest frames 10 dB apart, as asked."""
    mixing = QUIET.model_copy(update={"mix_probability": 1.0, "mix_snr_db": (10.0, 10.0)})
    clips = examples(flat("A", -10, bins=slice(0, 4)), flat("B", -60, bins=slice(4, 8)))
    batch = Batches(clips, recipe(mixing)).draw("largest", 0, range(40))
    seen = set()
    for crop, names in zip(batch.clean[:, 0], batch.parts, strict=True):
        if set(names) != {"A", "B"}:
            continue
        first = slice(0, 4) if names[0] == "A" else slice(4, 8)
        second = slice(4, 8) if names[0] == "A" else slice(0, 4)
        own = -10 if names[0] == "A" else -60
        np.testing.assert_allclose(crop[:, first], own, atol=STEP_DB)
        np.testing.assert_allclose(crop[:, second], own - 10, atol=STEP_DB)
        seen.add(names)
    assert seen == {("A", "B"), ("B", "A")}


def test_background_lies_below_the_event() -> None:
    """Background is mixed in at the ratio drawn and adds no label."""
    how = QUIET.model_copy(update={"background_probability": 1.0, "background_snr_db": (20.0, 20.0)})
    clips = examples(flat("A", -40, bins=slice(0, 4)), flat("", -5, bins=slice(4, 8)))
    batch = Batches(clips, recipe(how)).draw("largest", 0, range(40))
    mixed = [crop for crop, names in zip(batch.clean[:, 0], batch.parts, strict=True) if names == ("A", "(none)")]
    assert mixed
    for crop in mixed:
        np.testing.assert_allclose(crop[:, 4:], -60, atol=STEP_DB)
    assert {(*row,) for row, names in zip(batch.targets, batch.parts, strict=True) if names == ("A", "(none)")} == {
        (1.0,)
    }


def test_level_is_drawn_anew() -> None:
    """The whole crop is turned up or down within the recipe's bounds."""
    how = QUIET.model_copy(update={"level_db": (-20.0, 5.0)})
    levels = Batches(examples(flat("A", -40)), recipe(how)).draw("largest", 0, range(300)).clean
    assert np.ptp(levels, axis=(1, 2, 3)).max() < 1e-3
    assert -60.1 < levels.min() < -57
    assert -38 < levels.max() < -34.9


def test_band_limits_take_from_high_bands_alone() -> None:
    """Bands below every cut-off stay; above it the level falls with frequency, never rises."""
    how = QUIET.model_copy(update={"band_limit_probability": 1.0})
    plan = recipe(how, mel_bins=64)
    batches = Batches(examples(Example("A", np.full((20, 64), -20, np.float16), ("A",))), plan)
    crops = batches.draw("largest", 0, range(50)).clean[:, 0]
    below = batches.centres_hz < how.band_limit_hz[0]
    assert 10 < below.sum() < 60
    np.testing.assert_allclose(crops[:, :, below], -20, atol=1e-3)
    assert (np.diff(crops, axis=2) < 1e-3).all()
    assert (crops[:, :, -1] < -23).mean() > 0.5


def test_noise_floor_fills_silence() -> None:
    """Steady noise lifts what is silent and leaves loud sounds nearly as they were."""
    how = QUIET.model_copy(update={"noise_floor_probability": 1.0})
    crops = Batches(examples(flat("A", -10, bins=slice(0, 4))), recipe(how)).draw("largest", 0, range(50)).clean
    assert (crops[..., 4:] > FLOOR_DB).mean() > 0.9
    np.testing.assert_allclose(crops[..., :4], -10, atol=0.1)


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 20)),
    times=st.tuples(st.integers(0, 3), st.integers(0, 50)),
    bands=st.tuples(st.integers(0, 3), st.integers(0, 30)),
    seed=st.integers(0, 99),
)
def test_masks_are_stripes_at_the_mean(
    shape: tuple[int, int], times: tuple[int, int], bands: tuple[int, int], seed: int
) -> None:
    """What is masked is whole frames and whole bands, no more of them than allowed; the crop itself stays as it was."""
    rng = np.random.default_rng(seed)
    crop = rng.normal(-40, 10, shape).astype(np.float32)
    before = crop.copy()
    how = Augmentation(
        time_masks=times[0], time_mask_frames=times[1], frequency_masks=bands[0], frequency_mask_bins=bands[1]
    )
    masked = mask(rng, crop, how)
    changed = masked != crop
    assert np.array_equal(crop, before)
    assert np.allclose(masked[changed], crop.mean())
    frames, columns = changed.all(axis=1), changed.all(axis=0)
    assert np.array_equal(changed, frames[:, None] | columns[None])
    if not columns.all():
        assert frames.sum() <= times[0] * times[1]
    if not frames.all():
        assert columns.sum() <= bands[0] * bands[1]


def test_masks_touch_only_what_the_student_sees() -> None:
    """The teacher's crops are clean; the student's differ from them in stripes."""
    how = QUIET.model_copy(update={"time_masks": 1, "time_mask_frames": 6, "frequency_masks": 1})
    source = clip("A", frames=16)
    batch = Batches(examples(source), recipe(how)).draw("largest", 0, range(30))
    np.testing.assert_allclose(batch.clean[:, 0], np.stack([source.log_mel] * 30), atol=1e-3)
    shares = (batch.clean != batch.masked).mean(axis=(1, 2, 3))
    assert shares.max() > 0.3
    assert (shares < 1).any()


@settings(max_examples=60)
@given(
    length=st.integers(1, 80),
    frames=st.integers(8, 60),
    loud=st.integers(0, 79),
    silence=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 99),
)
def test_every_crop_holds_the_event(length: int, frames: int, loud: int, silence: float, seed: int) -> None:
    """A clip that is silent but for one frame is cropped around that frame, whole or as a part put into silence."""
    log_mel = np.full((length, 4), FLOOR_DB, dtype=np.float16)
    log_mel[loud % length] = -20
    power = crop_power(np.random.default_rng(seed), Example("A", log_mel, ("A",)), frames, silence)
    assert power.shape == (frames, 4)
    np.testing.assert_allclose(power.max(), 10 ** (-20 / 10), rtol=1e-3)
    (heard,) = np.nonzero(power.any(axis=1))
    assert len(heard) == heard[-1] - heard[0] + 1 <= min(length, frames)
    if silence:
        assert len(heard) < frames
        assert len(heard) >= min(length, frames // 3)
    else:
        assert len(heard) == min(length, frames)


@pytest.mark.parametrize("level_db", [FLOOR_DB, -120.0])
def test_silent_clips_make_silent_crops(level_db: float) -> None:
    """A recording of digital silence, alone and mixed with others, gives no infinities."""
    how = Augmentation(mix_probability=1.0, background_probability=1.0)
    clips = examples(flat("A", level_db), flat("B", -10), flat("", level_db))
    batch = Batches(clips, recipe(how)).draw("largest", 0, range(60))
    assert np.isfinite(batch.clean).all()
    assert batch.clean.min() >= FLOOR_DB - 1e-3
