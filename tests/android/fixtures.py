"""What the Android demo's tests compare with: a bundle exported now, and what Python makes of the same input.

    python tests/android/fixtures.py BUNDLE android_demo/target/fixtures

    bundle/         BUNDLE, which holds `stream` in int8 and fp32
    listen/         a scene as two WAV files; of each file and precision `listen --json` and the score of each decision
    wav/            one short signal in each kind of WAV, others with lying headers, and the samples that Python reads
    resampled/      signals at usual rates, and soxr's answer at the bundle's
    *.jsonl         fingerprints, decoded events, and manifests with Python's verdict on each

Run by `make android` before Maven; all randomness is seeded. Not a test: those are android_demo's own.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from toolkit.audio.decode import read_audio, stream_audio
from toolkit.audio.scene import demo_scene
from toolkit.events.decoder import Decision, EventDecoder
from toolkit.listen.interpreter import Classifier
from toolkit.listen.listener import Listener
from toolkit.listen.steps import make_step
from toolkit.specs.bundle import BundleManifest, open_bundle
from toolkit.specs.errors import ToolkitError, UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.run import LabelDecision
from toolkit.specs.runtime import Precision

PRECISIONS: tuple[Precision, ...] = ("int8", "fp32")
RATES_HZ = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000)
WAV_SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
VALUES: tuple[Any, ...] = (None, "text", "3", 3, 0, -1, 1.5, -0.5, True, [], {}, [1], {"a": 1}, 1e300)


def main(bundle: Path, out: Path) -> None:
    """Write everything anew into the folder `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copytree(bundle, out / "bundle")
    write_listening(bundle, out / "listen")
    write_wavs(out / "wav")
    write_headers(out / "wav" / "headers")
    write_resampled(out / "resampled", open_bundle(bundle).front_end.sample_rate_hz)
    for name, cases in (
        ("fingerprints", fingerprints(random.Random(1))),
        ("decoded", decoded(np.random.default_rng(2))),
        ("manifests", manifests(json.loads((bundle / "manifest.json").read_text(encoding="utf-8")))),
    ):
        (out / f"{name}.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases), encoding="utf-8")


def write_listening(bundle: Path, folder: Path) -> None:
    """The scene at the bundle's rate, and at 44.1 kHz as stereo that differs from left to right."""
    folder.mkdir()
    manifest = open_bundle(bundle)
    rate_hz = manifest.front_end.sample_rate_hz
    soundfile.write(folder / "scene.wav", demo_scene(rate_hz, 5).waveform, rate_hz, subtype="PCM_16")
    other = demo_scene(44_100, 5).waveform
    soundfile.write(folder / "scene-44100.wav", np.stack((1.5 * other, 0.5 * other), 1), 44_100, subtype="PCM_24")
    for wav in ("scene", "scene-44100"):
        for precision in PRECISIONS:
            path = folder / f"{wav}.wav"
            said = _verb("listen", "--bundle", str(bundle), "--wav", str(path), "--precision", precision, "--json")
            (folder / f"{wav}.{precision}.json").write_text(said, encoding="utf-8")
            scores(bundle, manifest, path, precision).astype("<f4").tofile(folder / f"{wav}.{precision}.f32")


def scores(bundle: Path, manifest: BundleManifest, path: Path, precision: Precision) -> np.ndarray:
    """[decisions, L] of a file, those of the silence behind it included."""
    file = manifest.find(mode="stream", precision=precision, runtime="tflite")
    step = make_step(Classifier(bundle / file.name, file), file, manifest)
    listener = Listener(step, manifest.window_samples, manifest.hop_samples)
    chunks = stream_audio(path, manifest.front_end.sample_rate_hz, manifest.hop_samples)
    heard = [decision.scores for chunk in chunks for decision in listener.push(chunk)]
    return np.stack(heard + [decision.scores for decision in listener.flush()])


def write_wavs(folder: Path) -> None:
    """One signal in each subtype, mono and with three channels, plain and extensible, and as soundfile reads it."""
    folder.mkdir()
    signal = np.random.default_rng(3).uniform(-0.99, 0.99, (2_345, 3))
    for subtype in WAV_SUBTYPES:
        for channels, kind in ((1, "WAV"), (3, "WAV"), (3, "WAVEX")):
            path = folder / f"{subtype}-{channels}-{kind}.wav"
            soundfile.write(path, signal[:, :channels], 16_000, subtype=subtype, format=kind)
            np.concatenate(list(stream_audio(path, 16_000, 999))).astype("<f4").tofile(path.with_suffix(".f32"))


def write_headers(folder: Path) -> None:
    """16-bit mono by its RIFF length, data length and bytes that are there: cut, odd, or of a recorder killed."""
    folder.mkdir()
    cases = "2036-2000-2000 2036-2000-1999 2036-2000-1998 2036-2000-1 2035-1999-1999 8-0-2000 8-0-1999 8-0-0 0-0-2000"
    for case in (*cases.split(), "2036-0-2000"):
        path = folder / f"{case}.wav"
        soundfile.write(path, np.random.default_rng(5).uniform(-1, 1, 1_000), 16_000, subtype="PCM_16")
        riff, data, there = map(int, case.split("-"))
        whole = bytearray(path.read_bytes())
        whole[4:8], whole[40:44] = struct.pack("<I", riff), struct.pack("<I", data)
        path.write_bytes(whole[: 44 + there])
        with contextlib.suppress(UserError):
            read_audio(path, 16_000).astype("<f4").tofile(path.with_suffix(".f32"))


def write_resampled(folder: Path, to_hz: int) -> None:
    """Tones that fade in and out, within what both resamplers let through: `RATE.in.f32`, what soxr makes of them
    (`.soxr.f32`), and the same tones at the other rate's times (`.ideal.f32`).
    """
    folder.mkdir()
    rng = np.random.default_rng(4)
    for rate_hz in RATES_HZ:
        length_s = 0.5
        tones_hz = rng.uniform(20, 0.88 * min(rate_hz, to_hz) / 2, 24)
        phases = rng.uniform(0, 2 * np.pi, 24)
        for kind, hz in (("in", rate_hz), ("ideal", to_hz)):
            times_s = np.arange(round(length_s * hz))[:, None] / hz
            fade = np.sin(np.pi * times_s[:, 0] / length_s) ** 2
            signal = (np.sin(2 * np.pi * tones_hz * times_s + phases).mean(axis=1) * fade).astype("<f4")
            signal.tofile(folder / f"{rate_hz}.{kind}.f32")
        given = np.fromfile(folder / f"{rate_hz}.in.f32", "<f4")
        soxr.resample(given, rate_hz, to_hz, quality="HQ").astype("<f4").tofile(folder / f"{rate_hz}.soxr.f32")


def fingerprints(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Front ends with numbers of every length, and their fingerprints."""
    yield _fingerprint(FrontEndSpec())
    for _ in range(200):
        rate_hz = rng.choice((8_000, 16_000, 22_050, 32_000, 44_100))
        power = struct.unpack("<d", rng.randbytes(8))[0]
        yield _fingerprint(
            FrontEndSpec(
                sample_rate_hz=rate_hz,
                window_samples=2 * rng.randint(160, 1_024),
                hop_samples=rng.randint(1, 320),
                mel_bins=rng.randint(1, 256),
                f_min_hz=round(rng.uniform(0, 300), rng.randint(0, 15)),
                f_max_hz=rng.uniform(1_000, rate_hz / 2),
                floor_power=abs(power) if 0 < abs(power) < float("inf") else 10.0 ** rng.randint(-20, 20),
            )
        )


def _fingerprint(spec: FrontEndSpec) -> dict[str, Any]:
    return {"front_end": spec.model_dump(mode="json"), "fingerprint": spec.fingerprint}


def decoded(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Random walks of scores under random rules: what each decision ended, and what the end did."""
    for _ in range(150):
        labels, count = int(rng.integers(1, 4)), int(rng.integers(1, 80))
        hop = int(rng.integers(1, 4_000))
        window = hop * int(rng.integers(1, 12)) + int(rng.integers(0, hop))
        rules = [_rule(f"label {index}", rng) for index in range(labels)]
        walk = np.cumsum(rng.normal(0, rng.uniform(0.02, 0.4), (count, labels)), axis=0) + rng.uniform(0, 1, labels)
        given = np.abs(walk % 2 - 1).astype(np.float32)
        heard = hop * count - int(rng.integers(0, window))
        decoder = EventDecoder(rules, window, hop, 16_000)
        ended, sounding = [], []
        for number, row in enumerate(given, start=1):
            events = decoder.push(Decision(hop * number, max(min(heard, hop * number), 1), row))
            ended.append([vars(event) for event in events])
            sounding.append(sorted(decoder.sounding))
        yield {
            "rules": [rule.model_dump(mode="json") for rule in rules],
            "window_samples": window,
            "hop_samples": hop,
            "heard": max(heard, 1),
            "scores": given.tolist(),
            "ended": ended,
            "sounding": sounding,
            "flushed": [vars(event) for event in decoder.flush()],
        }


def _rule(label: str, rng: np.random.Generator) -> LabelDecision:
    threshold = float(rng.uniform(0.2, 0.9))
    unknown: dict[str, Any] = dict.fromkeys(("average_precision", "event_f1", "false_alarms_per_hour"))
    return LabelDecision(
        label=label,
        threshold=threshold,
        off_threshold=threshold * float(rng.uniform(0.3, 1)),
        smoothing_decisions=int(rng.choice((1, 3, 5, 9))),
        calibrated=True,
        train_clips=1,
        validation_clips=1,
        **unknown,
    )


def manifests(whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The manifest with one value replaced, removed or added, and whether Python takes it."""
    for path in _places(whole):
        *parents, last = path
        for value in (*VALUES, "removed", "added"):
            changed = copy.deepcopy(whole)
            holder: Any = changed
            for step in parents:
                holder = holder[step]
            if value == "removed":
                del holder[last]
            elif value == "added":
                if not isinstance(holder, dict):
                    continue
                holder[f"{last}_more"] = 1
            else:
                holder[last] = value
            if changed != whole:
                text = json.dumps(changed)
                yield {"place": ".".join(map(str, path)), "text": text, "good": _good(text)}


def _places(node: Any, path: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """Paths to every field; of a list its first entry stands for all."""
    entries = node.items() if isinstance(node, dict) else enumerate(node[:1]) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from _places(value, (*path, key))


def _good(text: str) -> bool:
    try:
        BundleManifest.from_text(text, origin="manifest")
    except ToolkitError:
        return False
    return True


def _verb(name: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"toolkit.{name}", *words], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
