"""Features on demand: those of the front end to the bit, computed once while there is room, sound after any kill."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.tiny_run import TINY, write_sounds
from toolkit.audio.clip import Clip
from toolkit.audio.clips import read_clip
from toolkit.audio.dataset import load_dataset
from toolkit.frontend import LogMel
from toolkit.shards.write import ShardOptions, write_shards
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.train import feature_packs, features
from toolkit.train.examples import gather
from toolkit.train.feature_packs import FeaturePacks
from toolkit.train.features import FeatureStore

SPEC = FrontEndSpec()
CLIP_BYTES = 100 * 64 * 2
"""Features of one second."""
FILL = """
import sys
from pathlib import Path
from toolkit.audio.dataset import load_dataset
from toolkit.specs.front_end import FrontEndSpec
from toolkit.train.features import FeatureStore
store = FeatureStore(FrontEndSpec(), memory_bytes=0, folder=Path(sys.argv[2]), threads=1)
for clip in load_dataset(Path(sys.argv[1])).clips:
    store.many([clip])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve clips of a second."""
    return write_sounds(tmp_path_factory.mktemp("sounds"), {"Dog": (10, 2)})


@pytest.fixture(scope="module")
def clips(data: Path) -> tuple[Clip, ...]:
    """The clips of `data`."""
    return tuple(load_dataset(data).clips)


@pytest.fixture(scope="module")
def expected(clips: tuple[Clip, ...]) -> list[NDArray[np.float16]]:
    """Their log-mel, each by itself."""
    front_end = LogMel(SPEC)
    return [front_end(torch.from_numpy(read_clip(c, 32_000))[None])[0, 0].numpy().astype(np.float16) for c in clips]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the clips that were decoded, as they are."""
    names: list[str] = []

    def read(clip: Clip, sample_rate_hz: int) -> np.ndarray:
        names.append(clip.name)
        return read_clip(clip, sample_rate_hz)

    monkeypatch.setattr(features, "read_clip", read)
    return names


@contextmanager
def store_of(folder: Path | None = None, memory_bytes: int = 1 << 30, threads: int = 2) -> Iterator[FeatureStore]:
    """A store that is closed in the end."""
    store = FeatureStore(SPEC, memory_bytes=memory_bytes, folder=folder, threads=threads)
    try:
        yield store
    finally:
        store.close()


def same(found: list[NDArray[np.float16]], expected: list[NDArray[np.float16]]) -> bool:
    """Whether features are equal to the bit."""
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("threads", [1, 3])
def test_features_are_the_clip_s_alone(
    clips: tuple[Clip, ...], expected: list[NDArray[np.float16]], threads: int
) -> None:
    """In any company and with any number of threads a clip's features are the same to the bit, in the order asked."""
    order = [5, 0, 5, 11, 3]
    with store_of(memory_bytes=0, threads=threads) as store:
        assert same(store.many(clips), expected)
        assert same(store.many([clips[at] for at in order]), [expected[at] for at in order])
        assert store.many([]) == []


@given(samples=st.integers(0, 12_000), frames=st.integers(1, 40))
def test_a_long_recording_is_computed_in_pieces(samples: int, frames: int) -> None:
    """Whatever the length of a piece, frames are those of the whole, to float16's rounding."""
    front_end, noise = LogMel(SPEC), np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "PIECE_FRAMES", frames)
        found = features.log_mel(front_end, noise)
    whole = front_end(torch.from_numpy(noise)[None])[0, 0].numpy()
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, whole, atol=0.07)


@pytest.mark.parametrize("samples", [1, 31_000, 32_000, 64_001])
def test_a_length_can_be_asked_for(clips: tuple[Clip, ...], samples: int) -> None:
    """Sound is cut, or zeros put after it, before the front end, and the whole clip is kept apart from that."""
    with store_of() as store:
        whole, part = store.many(clips[:1])[0], store.many(clips[:1], samples)[0]
    waveform = np.zeros(samples, np.float32)
    waveform[:32_000] = read_clip(clips[0], 32_000)[:samples]
    assert np.array_equal(part, features.log_mel(LogMel(SPEC), waveform))
    assert len(whole) == 100


def test_the_number_of_torch_s_threads_stays(clips: tuple[Clip, ...]) -> None:
    """A store that computes with one thread a clip leaves training its own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with store_of() as store:
            store.many(clips)
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_what_fits_in_memory_is_computed_once(clips: tuple[Clip, ...], heard: list[str]) -> None:
    """A clip asked for twice is decoded once; beyond the limit the one longest not asked for goes first."""
    with store_of(memory_bytes=2 * CLIP_BYTES) as store:
        a, b, c = clips[:3]
        store.many([a, b, a])
        store.many([a])
        store.many([c])
        store.many([a])
        assert sorted(heard) == sorted([a.name, b.name, c.name])
        store.many([b])
        assert heard[-1] == b.name
        with pytest.raises(ValueError, match="read-only"):
            store.many([a])[0][:] = 0


def test_features_on_disk_are_not_computed_again(
    tmp_path: Path, clips: tuple[Clip, ...], expected: list[NDArray[np.float16]], heard: list[str]
) -> None:
    """A store that is opened later finds what an earlier one kept, in the same two files."""
    for _ in range(3):
        with store_of(tmp_path, memory_bytes=0) as store:
            assert same(store.many(clips), expected)
    assert len(heard) == len(clips)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["0.journal", "0.pack"]


@pytest.mark.parametrize("settled_at", [1, 5, 1000])
def test_processes_share_a_folder(
    tmp_path: Path,
    clips: tuple[Clip, ...],
    expected: list[NDArray[np.float16]],
    heard: list[str],
    settled_at: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two stores at the same time write apart and find what the other one kept, however many there are."""
    monkeypatch.setattr(feature_packs, "SETTLED_AT", settled_at)
    with store_of(tmp_path, memory_bytes=0) as one, store_of(tmp_path, memory_bytes=0) as other:
        one.many(clips[:6])
        other.many(clips[6:])
        assert same(other.many(clips), expected)
        assert same(one.many(clips), expected)
    assert len(heard) == len(clips)
    assert len(list(tmp_path.rglob("*.pack"))) == 2


def test_another_front_end_has_features_of_its_own(tmp_path: Path, clips: tuple[Clip, ...]) -> None:
    """A folder serves several front ends and never gives one the features of another."""
    with store_of(tmp_path) as store:
        store.many(clips[:1])
    store = FeatureStore(FrontEndSpec(mel_bins=40), folder=tmp_path)
    assert store.many(clips[:1])[0].shape == (100, 40)
    store.close()


def test_a_clip_written_anew_is_computed_anew(tmp_path: Path) -> None:
    """Other sound under the same name and size is heard, not what the cache remembers."""
    folder = write_sounds(tmp_path / "sounds", {"Dog": (2, 0)})
    one, other = load_dataset(folder).clips
    with store_of(tmp_path / "cache") as store:
        first, second = store.many([one, other])
        time.sleep(0.01)
        one.path.write_bytes(other.path.read_bytes())
        assert not np.array_equal(first, second)
        assert np.array_equal(store.many([one])[0], second)


def test_shards_give_the_features_of_their_recordings(
    tmp_path: Path, data: Path, expected: list[NDArray[np.float16]]
) -> None:
    """16-bit recordings heard from shards are heard the same to the bit."""
    write_shards(load_dataset(data), tmp_path / "shards", ShardOptions(), lambda _what, _done, _of: None)
    with store_of(tmp_path / "cache", memory_bytes=0) as store:
        for _ in range(2):
            assert same(store.many(load_dataset(tmp_path / "shards").clips), expected)


def test_a_training_from_shards_hears_the_same(tmp_path: Path) -> None:
    """Labels, order and features are those of the folder that the shards were written from."""
    folder = write_sounds(tmp_path, {"Dog": (3, 1), "Bell;Dog": (1, 0), "Bell": (2, 1)}, background=2)
    dataset = load_dataset(folder)
    write_shards(dataset, tmp_path / "shards", ShardOptions(), lambda _what, _done, _of: None)
    recipe = TINY.model_copy(update={"generated": {}})
    here, there = (
        gather(recipe, data, lambda _what, _done, _of: None) for data in (dataset, load_dataset(tmp_path / "shards"))
    )
    assert here.labels == there.labels == ("Bell", "Dog")
    assert [(one.name, one.labels) for one in here.train] == [(one.name, one.labels) for one in there.train]
    assert same([one.log_mel for one in there.train], [one.log_mel for one in here.train])


@pytest.mark.parametrize("settled_at", [1, 4, 1000])
@given(changes=st.lists(st.tuples(st.sampled_from([0, 1, 7, (1 << 64) - 1]), st.integers(1, 3)), max_size=12))
def test_the_last_that_was_kept_holds(changes: list[tuple[int, int]], settled_at: int) -> None:
    """For every key that 64 bits hold the features kept last are found, at once and by the next process."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_packs, "SETTLED_AT", settled_at)
        packs = FeaturePacks(Path(folder), 2)
        for number, (key, frames) in enumerate(changes):
            packs.put(key, np.full((frames, 2), number, np.float16))
        packs.close()
        later = FeaturePacks(Path(folder), 2)
        later.close()
        last = {key: (number, frames) for number, (key, frames) in enumerate(changes)}
        for key in (0, 1, 7, 8, (1 << 64) - 1):
            for found in (packs.get(key), later.get(key)):
                assert (found is not None) == (key in last)
                if found is not None:
                    number, frames = last[key]
                    assert np.array_equal(found, np.full((frames, 2), number))


@pytest.mark.parametrize("suffix", ["journal", "pack"])
@pytest.mark.parametrize("lost_bytes", [1, 23, 24, CLIP_BYTES, 10**9])
def test_cut_files_cost_what_is_cut(
    tmp_path: Path, clips: tuple[Clip, ...], expected: list[NDArray[np.float16]], suffix: str, lost_bytes: int
) -> None:
    """However a kill or a crash leaves the files, features are right, and kept again."""
    with store_of(tmp_path) as store:
        store.many(clips)
    (path,) = tmp_path.rglob(f"0.{suffix}")
    os.truncate(path, max(0, path.stat().st_size - lost_bytes))
    for _ in range(2):
        with store_of(tmp_path, memory_bytes=0) as store:
            assert same(store.many(clips), expected)


def test_damaged_features_are_computed_anew(
    tmp_path: Path, clips: tuple[Clip, ...], expected: list[NDArray[np.float16]], heard: list[str]
) -> None:
    """Bytes that changed on disk are found by their checksum."""
    with store_of(tmp_path) as store:
        store.many(clips)
    (path,) = tmp_path.rglob("0.pack")
    content = bytearray(path.read_bytes())
    content[3 * CLIP_BYTES + 77] ^= 1
    path.write_bytes(content)
    with store_of(tmp_path, memory_bytes=0) as store:
        for _ in range(2):
            assert same(store.many(clips), expected)
    assert len(heard) == len(clips) + 1


def test_a_full_disk_ends_keeping_not_training(
    tmp_path: Path, clips: tuple[Clip, ...], expected: list[NDArray[np.float16]], caplog: pytest.LogCaptureFixture
) -> None:
    """Where nothing more can be written features are computed all the same, and those that were kept stay."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with store_of(tmp_path, memory_bytes=0) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 * CLIP_BYTES + 100, hard))
        try:
            assert same(store.many(clips), expected)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert same(store.many(clips), expected)
    assert caplog.text.count("features are computed, not kept") == 1
    with store_of(tmp_path, memory_bytes=0) as store:
        assert same(store.many(clips), expected)


def test_a_killed_process_leaves_good_features(
    tmp_path: Path, data: Path, clips: tuple[Clip, ...], expected: list[NDArray[np.float16]], heard: list[str]
) -> None:
    """After kill -9 in the midst of writing the next one takes the same files over and computes what is missing."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", FILL, str(data), str(tmp_path)], env=environment) as process:
        until = time.monotonic() + 60
        while not any(path.stat().st_size for path in tmp_path.rglob("0.journal")) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    with store_of(tmp_path) as store:
        assert same(store.many(clips), expected)
    assert len(heard) < len(clips)
    assert len(list(tmp_path.rglob("*.pack"))) == 1


def test_a_clip_that_does_not_decode_is_named(tmp_path: Path, clips: tuple[Clip, ...]) -> None:
    """A broken clip is an error with its name, and the others are to be had afterwards."""
    path = tmp_path / "broken.wav"
    path.write_bytes(b"no sound")
    broken = Clip(path, path.name, ("Dog",), "train", path.name, 8)
    with store_of() as store:
        with pytest.raises(UserError, match=r"broken\.wav is not audio"):
            store.many([*clips[:2], broken])
        assert len(store.many(clips)) == len(clips)
