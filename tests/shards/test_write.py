"""Shards hold what the recordings hold, webdataset reads them, and a writer that was killed goes on."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webdataset  # type: ignore[import-untyped]
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from toolkit.audio.clips import read_clip
from toolkit.audio.dataset import load_dataset
from toolkit.audio.shards import INDEX
from toolkit.shards.__main__ import main
from toolkit.shards.write import ShardOptions, Written, encoded, write_shards
from toolkit.specs.errors import MismatchError, UserError

RATE_HZ = 32_000
SECONDS = {"a.wav": 1.0, "b.b.wav": 0.5, "Ü c.wav": 25.0, "d.wav": 10.02}
LAST_HEADER = 1 << 40
"""Stands for the place of a shard's last header."""
LABELS = {"a.wav": "Dog", "b.b.wav": "Bark;Dog", "Ü c.wav": "", "d.wav": "Cat"}


def recordings(folder: Path, rate_hz: int = RATE_HZ) -> Path:
    """A manifest and its sounds: short ones, one of 25 s, one a little longer than a window."""
    folder.mkdir()
    rng = np.random.default_rng(4)
    rows = [("path", "labels", "split", "group", "dataset", "tier", "licence")]
    for name, seconds in SECONDS.items():
        soundfile.write(folder / name, rng.uniform(-1, 1, round(seconds * rate_hz)), rate_hz, subtype="PCM_16")
        rows.append((name, LABELS[name], "train", f"group of {name}", "made up", "open", "CC0-1.0"))
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def write(data: Path, folder: Path, **options: object) -> Written:
    """Write shards and say nothing."""
    return write_shards(load_dataset(data), folder, ShardOptions(**options), lambda _what, _done, _of: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["flac", "wav"])
def test_shards_hold_the_recordings(tmp_path: Path, form: str) -> None:
    """Facts are kept, 16-bit sound to the bit, in the dataset's order; a long clip is its windows."""
    data = recordings(tmp_path / "data")
    done = write(data, tmp_path / "out", form=form)
    assert done == Written(shards=1, shards_kept=0, clips=6, broken=0)
    source = {clip.name: clip for clip in load_dataset(data).clips}
    packed = load_dataset(tmp_path / "out")
    times = ("#t=0,10", "#t=10,20", "#t=20,25")
    assert [clip.name for clip in packed.clips] == ["a.wav", "b.b.wav", *(f"Ü c.wav{time}" for time in times), "d.wav"]
    sounds: dict[str, list[np.ndarray]] = {}
    for clip in packed.clips:
        whole = clip.name.partition("#")[0]
        for fact in ("labels", "split", "group", "dataset", "tier", "licence"):
            assert getattr(clip, fact) == getattr(source[whole], fact)
        sounds.setdefault(whole, []).append(read_clip(clip, RATE_HZ))
    for name, parts in sounds.items():
        together = np.concatenate(parts)
        assert len(together) == min(round(SECONDS[name] * RATE_HZ), 10 * RATE_HZ if name == "d.wav" else 1 << 30)
        np.testing.assert_array_equal(together, read_clip(source[name], RATE_HZ)[: len(together)])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_webdataset_reads_them(tmp_path: Path) -> None:
    """The tar files are WebDataset's: each sample has its sound and its facts."""
    data = recordings(tmp_path / "data")
    write(data, tmp_path / "out", shard_mb=1)
    shards = sorted(str(path) for path in (tmp_path / "out").glob("shard-*.tar"))
    assert len(shards) > 1
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    gc.collect()
    ours = load_dataset(tmp_path / "out").clips
    assert len(samples) == len(ours)
    for sample, clip in zip(samples, ours, strict=True):
        facts = json.loads(sample["json"])
        assert (facts["name"], tuple(facts["labels"]), facts["tier"]) == (clip.name, clip.labels, clip.tier)
        assert clip.span is not None
        assert len(sample["flac"]) == clip.span.size_bytes


def test_windows_are_an_option(tmp_path: Path) -> None:
    """Clips are resampled to the rate asked for, and with a window of 0 s kept whole."""
    data = recordings(tmp_path / "data", rate_hz=16_000)
    write(data, tmp_path / "out", window_seconds=0.0, sample_rate_hz=8_000)
    clips = load_dataset(tmp_path / "out").clips
    assert [clip.name for clip in clips] == list(SECONDS)
    assert [len(read_clip(clip, 8_000)) for clip in clips] == [round(8_000 * each) for each in SECONDS.values()]


def test_broken_clips_are_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A clip that does not decode is left out and named with its reason, and so is a label that is lost with it."""
    data = recordings(tmp_path / "data")
    (data / "d.wav").write_bytes(b"no sound")
    assert write(data, tmp_path / "out").broken == 1
    with (tmp_path / "out" / "broken.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["name"] == "d.wav"
    assert "is not audio" in row["reason"]
    assert "no clip decodes of: Cat" in caplog.text
    assert load_dataset(tmp_path / "out").labels == ("Bark", "Dog")


def test_nothing_that_decodes_is_an_error(tmp_path: Path) -> None:
    """Where every clip is broken there is no dataset, and the reasons are told."""
    (tmp_path / "data" / "Dog").mkdir(parents=True)
    (tmp_path / "data" / "Dog" / "a.wav").write_bytes(b"no sound")
    with pytest.raises(UserError, match="no clip decodes, the reasons stand in"):
        write(tmp_path / "data", tmp_path / "out")


def test_credits_go_along(tmp_path: Path) -> None:
    """A dataset's own table of credits stands beside its shards."""
    data = recordings(tmp_path / "data")
    (data / "CREDITS.csv").write_text("file,author\na.wav,Somebody\n")
    write(data, tmp_path / "out")
    assert (tmp_path / "out" / "CREDITS.csv").read_text() == (data / "CREDITS.csv").read_text()


def test_other_data_or_options_are_refused(tmp_path: Path) -> None:
    """Shards of one folder are of one dataset, written one way; and no other folder is written into."""
    data = recordings(tmp_path / "data")
    write(data, tmp_path / "out")
    with pytest.raises(MismatchError, match="other data or with other options"):
        write(data, tmp_path / "out", form="wav")
    soundfile.write(data / "a.wav", np.zeros(9), RATE_HZ)
    with pytest.raises(MismatchError, match="other data or with other options"):
        write(data, tmp_path / "out")
    with pytest.raises(UserError, match="is no empty folder"):
        write(data, data)


def test_finished_shards_are_kept(tmp_path: Path) -> None:
    """A lost shard alone is written anew, equal to the bit; without the index the folder was no dataset."""
    data = recordings(tmp_path / "data")
    write(data, tmp_path / "out", shard_mb=1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tar")}
    lost = sorted(kept)[1]
    (tmp_path / "out" / lost).unlink()
    (tmp_path / "out" / INDEX).unlink()
    with pytest.raises(UserError, match="not finished"):
        load_dataset(tmp_path / "out")
    assert write(data, tmp_path / "out", shard_mb=1).shards_kept == len(kept) - 1
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert {name: after[name] for name in before if name != INDEX} == {n: before[n] for n in before if n != INDEX}
    assert len(load_dataset(tmp_path / "out").clips) == 6
    for name, changed_ns in kept.items():
        assert name == lost or (tmp_path / "out" / name).stat().st_mtime_ns == changed_ns


@pytest.mark.parametrize("kept_bytes", [100, 512, 50_000, LAST_HEADER, LAST_HEADER + 100, LAST_HEADER + 600])
def test_a_damaged_shard_is_named(tmp_path: Path, kept_bytes: int) -> None:
    """A shard that ends early, wherever, is not indexed; what to do is said."""
    data = recordings(tmp_path / "data")
    write(data, tmp_path / "out")
    shard = tmp_path / "out" / "shard-000000.tar"
    with tarfile.open(shard) as tar:
        last = tar.getmembers()[-1].offset
    shard.write_bytes(shard.read_bytes()[: kept_bytes if kept_bytes < LAST_HEADER else last + kept_bytes - LAST_HEADER])
    with pytest.raises(UserError, match=r"shard-000000\.tar is damaged .* Remove .* and write the shards again"):
        write(data, tmp_path / "out")


def test_a_killed_writer_goes_on(tmp_path: Path) -> None:
    """Killed at any moment, the writer finishes when it is called again, and nothing half-written stays."""
    data = recordings(tmp_path / "data")
    for copy in range(40):
        folder = data / f"copy {copy}"
        folder.mkdir()
        (folder / "e.wav").write_bytes((data / "a.wav").read_bytes())
    rows = "".join(f"copy {copy}/e.wav,Dog,train,g,x,open,CC0\n" for copy in range(40))
    with (data / "manifest.csv").open("a", encoding="utf-8") as file:
        file.write(rows)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "toolkit.shards", "--data", str(data), "--out", str(out)]
    command += ["--shard-mb", "1", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for shards in (1, 3):
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as writer:
            until = time.monotonic() + 60
            while len(list(out.glob("shard-*.tar"))) < shards and writer.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.002)
            writer.send_signal(signal.SIGKILL)
    write(data, out, shard_mb=1)
    write(data, tmp_path / "at once", shard_mb=1)
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in (tmp_path / "at once").iterdir())
    for path in (tmp_path / "at once").glob("*.tar"):
        assert (out / path.name).read_bytes() == path.read_bytes()


@given(st.lists(st.integers(-(1 << 15), (1 << 15) - 1), min_size=1, max_size=50), st.sampled_from(["flac", "wav"]))
def test_sixteen_bit_sound_is_kept_to_the_bit(samples: list[int], form: str) -> None:
    """What 16 bits hold is held, full scale included; louder than that is clipped."""
    waveform = np.array(samples, np.float32) / (1 << 15)
    back, rate_hz = soundfile.read(io.BytesIO(encoded(waveform, 8_000, form)), dtype="float32")  # type: ignore[arg-type]
    np.testing.assert_array_equal(back, waveform)
    assert rate_hz == 8_000


def test_the_command(tmp_path: Path) -> None:
    """The verb writes, says what it wrote, and says it as JSON when asked."""
    data = recordings(tmp_path / "data")
    (data / "b.b.wav").write_bytes(b"")
    arguments = ["--data", str(data), "--out", str(tmp_path / "out")]
    first = CliRunner().invoke(main, arguments)
    assert first.exit_code == 0, first.output
    assert "5 clips in 1 shards, in " in first.stdout
    assert "left out: 1 that do not decode" in first.stdout
    again = CliRunner().invoke(main, [*arguments, "--json"])
    told = json.loads(again.stdout)
    assert told == {"folder": str(tmp_path / "out"), "shards": 1, "shards_kept": 1, "clips": 5, "broken": 1}
