"""A bundle's golden vectors on a device: does each file give there what PyTorch gave when it was exported?

Needs no Run: the expected scores stand in the bundle. Proved by tests/verify/test_on_device.py.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.export.export import to_float
from toolkit.native.choose import AgentName, choose_agent
from toolkit.specs.bundle import BundleFile, BundleManifest, open_bundle
from toolkit.specs.certificate import Certificate, FileCertificate
from toolkit.specs.runtime import Runtime
from toolkit.targets import Agent, Plan, Play, Played, Start, Target, Workplace, run_plan
from toolkit.verify.labelled import Say
from toolkit.verify.verify import GOLDEN_AUDIO, NOT_A_SCORE, error_faults, read_golden

SAMPLES = "golden.f32"
PLAYED: tuple[Runtime, ...] = ("tflite", "executorch")


def verify_on(folder: Path, target: Target, wanted: AgentName | None, say: Say) -> Certificate:
    """Play every file of the bundle in `folder` on the target.

    Raises:
        UserError: the bundle is damaged, or no agent can be had.
        DeviceError: the target could not do it.
    """
    manifest = open_bundle(folder)
    golden = read_golden(folder)
    machine = target.machine()
    found: dict[str, dict[str, Any]] = {}
    for runtime in PLAYED:
        if files := [file for file in manifest.files if file.runtime == runtime]:
            agent = choose_agent(runtime, machine, wanted if runtime == "tflite" else None, lambda _: None)
            with target.workplace() as place:
                place.bring({**agent.files, **{file.name: folder / file.name for file in files}})
                for file in files:
                    say(f"playing on {target.name}", len(found), len(manifest.files))
                    found[file.name] = _played(place, agent, file, manifest, golden)
    return Certificate(
        subnet=manifest.subnet,
        run_hash=manifest.run_hash,
        machine=f"{machine} ({target.name})",
        audio=GOLDEN_AUDIO,
        files=tuple(
            FileCertificate(
                name=file.name,
                mode=file.mode,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                **found.get(file.name, {"not_run": f"no agent runs {file.runtime} files on a device"}),
            )
            for file in manifest.files
        ),
        note="Played on the device; mAP and memory are of --data on this machine." if found else "",
    )


def _played(
    place: Workplace, agent: Agent, file: BundleFile, manifest: BundleManifest, golden: dict[str, np.ndarray]
) -> dict[str, Any]:
    """What a certificate says of a file that was brought already."""
    heard, hop = _heard(file, manifest, golden)
    with tempfile.NamedTemporaryFile() as samples:
        samples.write(heard.astype("<f4").tobytes())
        samples.flush()
        place.bring({SAMPLES: Path(samples.name)})
    plan = Plan(play=(Play(file=file.name, samples=SAMPLES, hop_samples=hop),))
    with closing(run_plan(place, agent, plan)) as lines:
        said = list(lines)
    (start,) = (line for line in said if isinstance(line, Start))
    (played,) = (line for line in said if isinstance(line, Played))
    scores = np.array(played.scores, np.float32)
    error = np.abs(np.where(np.isfinite(scores), scores, np.float32(NOT_A_SCORE)) - golden[file.mode])
    environment = start.environment
    return {
        "runtime": f"{environment.runtime} {environment.runtime_version} ({environment.cpu})",
        "max_error": float(error.max()),
        "mean_error": float(error.mean()),
        "faults": tuple(error_faults(file, float(error.max()))),
    }


def certificate_name(target: Target) -> str:
    """Of the file beside the bundle's own certificate: `certificate-ssh-kitchen.json`."""
    return f"certificate-{re.sub('[^A-Za-z0-9]+', '-', target.name).strip('-')}.json"


def _heard(file: BundleFile, manifest: BundleManifest, golden: dict[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """What a file is given, and how much of it at once."""
    if file.mode == "frames":
        return golden["log_mel"].ravel(), golden["log_mel"].size
    return to_float(golden["samples"]), manifest.hop_samples if file.mode == "stream" else manifest.window_samples
