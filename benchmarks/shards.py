"""Data sets of AudioSet's size: what the index of two million clips takes, and how many clips a second are heard.

The index is of made-up rows, in memory and on disk as a real one; the clips are ten seconds of made-up sound in real
shards. CPU time is what a clip costs one core whatever else the machine does; clips a second are the best of several
runs of the whole machine.
Run: python -m benchmarks.shards [--quick]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import soundfile
import torch

from toolkit.audio.clips import read_clip
from toolkit.audio.dataset import load_dataset
from toolkit.audio.shards import Index, Ragged, ShardFile, Vocabularies
from toolkit.shards.write import ShardOptions, write_shards
from toolkit.specs.front_end import FrontEndSpec
from toolkit.train.features import FeatureStore

CLIPS, LABELS, CLIPS_PER_SHARD = 2_000_000, 527, 1000
GOAL_MB = 1000
THREADS = (1, 2)


def write_rows(folder: Path, clips: int) -> None:
    """Write the index of so many made-up clips, and empty files in place of shards."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 4, clips)
    names = [f"{rng.bytes(6).hex()[:11]}_{row % 6000}.wav" for row in range(clips)]
    shards = tuple(ShardFile(name=f"shard-{n:06d}.tar", size_bytes=0) for n in range(-(-clips // CLIPS_PER_SHARD)))
    for shard in shards:
        (folder / shard.name).touch()
    Index(
        folder,
        Vocabularies(
            shards=shards,
            labels=tuple(f"Label {number:03d}" for number in range(LABELS)),
            splits=("train", "validation", "test"),
            origins=(("audioset", None, None),),
        ),
        shard=(np.arange(clips) // CLIPS_PER_SHARD).astype(np.int32),
        offset_bytes=np.arange(clips) % CLIPS_PER_SHARD * 300_000,
        size_bytes=np.full(clips, 300_000),
        split=rng.choice(3, clips, p=[0.9, 0.05, 0.05]).astype(np.int32),
        origin=np.zeros(clips, np.int32),
        labels=Ragged(rng.integers(0, LABELS, counts.sum()).astype(np.int32), np.cumsum(counts)),
        names=Ragged.of_texts(names),
        groups=Ragged.of_texts([name[:11] for name in names]),
    ).save()


def index_costs(clips: int) -> dict[str, float]:
    """Seconds and megabytes of opening a folder of shards and of the questions that training asks of it."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder, clips)
        before = psutil.Process().memory_info().rss
        start_s = time.perf_counter()
        dataset = load_dataset(folder)
        found["load_s"] = time.perf_counter() - start_s
        found["load_mb"] = (psutil.Process().memory_info().rss - before) / 1e6
        start_s = time.perf_counter()
        train = dataset.subset(split="train")
        places = train.positions()
        found["train_clips_by_label_s"] = time.perf_counter() - start_s
        drawn = np.random.default_rng(1).integers(0, len(train.clips), 10_000)
        start_s = time.perf_counter()
        for place in drawn:
            train.clips[int(place)]
        found["draw_us"] = (time.perf_counter() - start_s) / len(drawn) * 1e6
        found["all_mb"] = (psutil.Process().memory_info().rss - before) / 1e6
        assert places
    return found


def best(run: Callable[[], object], clips: int, runs: int) -> tuple[float, float]:
    """Most clips a second and least CPU milliseconds a clip of several runs."""
    wall, cpu = [], []
    for _ in range(runs):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - wall_s)
        cpu.append(time.process_time() - cpu_s)
    return clips / min(wall), 1e3 * min(cpu) / clips


def hearing_rates(clips: int, runs: int) -> dict[str, float]:
    """Clips of 10 s a second, and CPU time, from shards to log-mel; decoding alone; and from the features on disk."""
    spec = FrontEndSpec()
    found: dict[str, float] = {}
    rng = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data" / "Sound").mkdir(parents=True)
        for number in range(clips):
            noise = np.cumsum(rng.standard_normal(10 * spec.sample_rate_hz))
            sound = 0.3 * noise / np.abs(noise).max() * rng.uniform(0.05, 1)
            soundfile.write(folder / "data" / "Sound" / f"{number}.wav", sound, spec.sample_rate_hz)
        for form in ("flac", "wav"):
            out = folder / form
            write_shards(load_dataset(folder / "data"), out, ShardOptions(form=form), lambda _what, _done, _of: None)
            heard = list(load_dataset(out).clips)
            for threads in THREADS:
                store = FeatureStore(spec, memory_bytes=0, threads=threads)
                key = f"{form}_{threads}_threads"
                found[f"{key}_clips_per_s"], cpu_ms = best(lambda s=store, h=heard: s.many(h), clips, runs)  # type: ignore[misc]
                found[f"{key}_cpu_ms"] = cpu_ms
                store.close()
            _, found[f"{form}_decode_cpu_ms"] = best(
                lambda h=heard: [read_clip(clip, spec.sample_rate_hz) for clip in h],  # type: ignore[misc]
                clips,
                runs,
            )
        store = FeatureStore(spec, memory_bytes=0, folder=folder / "cache", threads=2)
        store.many(heard)
        found["cached_clips_per_s"], _ = best(lambda: store.many(heard), clips, runs)
        store.close()
    return found


def main() -> None:
    """Measure, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, few clips, one run")
    quick = parser.parse_args().quick

    torch.set_num_threads(1)
    rows = CLIPS // 10 if quick else CLIPS
    detail: dict[str, float] = {"rows": rows, **index_costs(rows)}
    detail |= hearing_rates(8 if quick else 200, 1 if quick else 5)
    for name, value in detail.items():
        print(f"{name.replace('_', ' '):<32} {value:12.2f}")
    figure = detail["all_mb"] * CLIPS / rows
    rounded = {name: round(value, 2) for name, value in detail.items()}
    result = {"name": "shards", "figure": round(figure), "unit": "MB", "goal": GOAL_MB}
    print(json.dumps({**result, "holds": figure < GOAL_MB, "detail": rounded}))


if __name__ == "__main__":
    main()
