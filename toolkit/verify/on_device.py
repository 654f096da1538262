"""A bundle's golden vectors on a device: does each file give there what PyTorch gave when it was exported?

Needs neither the Run nor PyTorch: the expected scores stand in the bundle. Proved by tests/verify/test_on_device.py.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from toolkit.export.export import to_float
from toolkit.native.choose import AgentName, choose_agent
from toolkit.specs.bundle import BundleFile, BundleManifest, open_bundle
from toolkit.specs.certificate import Certificate, FileCertificate
from toolkit.targets import Plan, Play, Played, Start, Target, carry_out
from toolkit.verify.verify import GOLDEN_AUDIO, NOT_A_SCORE, error_faults, read_golden

Say = Callable[[str, int, int], None]
PLAYED_RUNTIMES = ("tflite", "executorch")
SAMPLES = "golden.f32"


def verify_on(
    folder: Path, target: Target, wanted: AgentName | None, say: Callable[[str, int, int], None]
) -> Certificate:
    """Play every file of the bundle in `folder` on the target.

    Raises:
        UserError: the bundle is damaged, or no agent can be had.
        DeviceError: the target could not do it.
    """
    manifest = open_bundle(folder)
    golden = read_golden(folder)
    machine = target.machine()
    files = []
    for number, file in enumerate(manifest.files):
        say(f"playing on {target.name}", number, len(manifest.files))
        blank = FileCertificate(name=file.name, mode=file.mode, sha256=file.sha256, size_bytes=file.size_bytes)
        if file.runtime not in PLAYED_RUNTIMES:
            files.append(blank.model_copy(update={"not_run": f"no agent runs {file.runtime} files on a device"}))
            continue
        agent = choose_agent(file.runtime, machine, wanted if file.runtime == "tflite" else None, lambda _: None)
        with tempfile.TemporaryDirectory() as temporary:
            samples = Path(temporary) / SAMPLES
            heard, hop = _heard(file, manifest, golden)
            heard.astype("<f4").tofile(samples)
            plan = Plan(play=(Play(file=file.name, samples=SAMPLES, hop_samples=hop),))
            with closing(carry_out(target, agent, plan, {file.name: folder / file.name, SAMPLES: samples})) as lines:
                said = list(lines)
        (start,) = (line for line in said if isinstance(line, Start))
        (played,) = (line for line in said if isinstance(line, Played))
        scores = np.array(played.scores, np.float32)
        error = np.abs(np.where(np.isfinite(scores), scores, np.float32(NOT_A_SCORE)) - golden[file.mode])
        environment = start.environment
        found = {
            "runtime": f"{environment.runtime} {environment.runtime_version} ({environment.cpu})",
            "max_error": float(error.max()),
            "mean_error": float(error.mean()),
            "faults": tuple(error_faults(file, float(error.max()))),
        }
        files.append(blank.model_copy(update=found))
    return Certificate(
        subnet=manifest.subnet,
        run_hash=manifest.run_hash,
        machine=f"{machine} ({target.name})",
        audio=GOLDEN_AUDIO,
        files=tuple(files),
        note="Played on the device; mAP and memory are of --data on this machine.",
    )


def certificate_name(target: Target) -> str:
    """Of the file beside the bundle's own certificate: `certificate-ssh-kitchen.json`."""
    return f"certificate-{re.sub('[^A-Za-z0-9]+', '-', target.name).strip('-')}.json"


def _heard(file: BundleFile, manifest: BundleManifest, golden: dict[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """What a file is given, and how much of it at once."""
    if file.mode == "frames":
        return golden["log_mel"].ravel(), golden["log_mel"].size
    return to_float(golden["samples"]), manifest.hop_samples if file.mode == "stream" else manifest.window_samples
