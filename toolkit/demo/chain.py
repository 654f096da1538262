"""The demo's steps: it types the verbs' commands, then reads their answers from the files that they leave.

Proved by tests/demo/test_demo.py.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import click

from toolkit.audio.decode import stream_audio, write_wav
from toolkit.audio.scene import demo_scene
from toolkit.specs.bundle import CERTIFICATE, BundleManifest, bundle_folder
from toolkit.specs.certificate import Certificate
from toolkit.specs.pick import latest_pick
from toolkit.specs.run import Run

SCENE_SEED = 7


def run_chain(audio: Path | None, out: Path) -> dict[str, str]:
    """Profile this machine, search the default Run, export, verify and listen; returns what was found, for a table.

    Raises:
        ToolkitError: as any of the verbs does.
    """
    run = Run.open()
    if audio is None:
        audio = out / "demo-scene.wav"
        scene = demo_scene(run.manifest.front_end.sample_rate_hz, SCENE_SEED)
        write_wav(audio, scene.waveform, scene.sample_rate_hz)
        said = ", ".join(f"{event.label} {event.start_s:.1f}-{event.end_s:.1f} s" for event in scene.events)
        click.echo(
            f"No recording was given: {audio} is synthesized by the code, no sound in it was recorded. It holds {said}."
        )
    else:
        rate = run.manifest.front_end.sample_rate_hz
        next(stream_audio(audio, rate, rate))  # a wrong file is better named now than after a minute
    to_out = f"--out {shlex.quote(str(out))}"
    _type(f"profile --device host --target local --mode stream --precision int8 --quick {to_out}")
    _type(f"search --device host {to_out}")
    _, pick = latest_pick("host", out)
    bundle = bundle_folder(out, run, pick.subnet, "host")
    of_bundle = f"--bundle {shlex.quote(str(bundle))}"
    _type(f"export --device host {to_out}")
    _type(f"verify {of_bundle}")
    heard = _type(f"listen {of_bundle} --wav {shlex.quote(str(audio))} --json", keep_output=True)
    result = json.loads(heard)
    for event in result["events"]:
        click.echo(f"{event['start_s']:8.2f} - {event['end_s']:8.2f} s  {event['confidence']:.2f}  {event['label']}")
    manifest = BundleManifest.load(bundle / "manifest.json")
    certificate = Certificate.load(bundle / CERTIFICATE)
    cost, predicted = result["cost"], pick.predicted
    chunk_ms, share = cost["inference_p50_ms"], 100 * cost["core_share"]
    return {
        "subnet": f"{pick.subnet}: {predicted.params:,} parameters, validation mAP {pick.mean_average_precision:.3f}",
        "predicted": f"{predicted.latency_ms.value:.2f} ms a chunk of 0.96 s ({predicted.latency_ms.kind})",
        "measured in listen": f"{chunk_ms:.2f} ms a chunk, {share:.2f} % of one core",
        "files": ", ".join(f"{file.name} {file.size_bytes / 1e6:.2f} MB" for file in manifest.files),
        "largest error against PyTorch": ", ".join(f"{file.name} {file.max_error:.3f}" for file in certificate.files),
        "verified": "passed" if certificate.passed else "FAILED",
        "events heard": f"{len(result['events'])} in {result['heard_s']:.1f} s of {audio}",
        "bundle": str(bundle),
    }


def _type(line: str, *, keep_output: bool = False) -> str:
    """Run `python -m toolkit.LINE`, the command shown first; a verb that fails ends the demo with its exit code."""
    click.secho(f"\n$ python -m toolkit.{line}", bold=True)
    name, *arguments = shlex.split(line)
    command = [sys.executable, "-m", f"toolkit.{name}", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE if keep_output else sys.stdout, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""
