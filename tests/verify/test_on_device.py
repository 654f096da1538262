"""A bundle's golden vectors on a device: this machine, and an emulated Raspberry Pi behind a real sshd."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.targets.pi import emulated_pi
from tests.verify.verbs import keep_runtimes, state_true_hashes
from toolkit.specs.certificate import Certificate
from toolkit.verify.__main__ import main

pytestmark = pytest.mark.xdist_group("bundle")


def verify_on(bundle: Path, target: str, *arguments: str) -> Result:
    """Call `python -m toolkit.verify --target` in this process."""
    return CliRunner().invoke(main, ["--bundle", str(bundle), "--target", target, *arguments])


def test_each_file_scores_on_the_target_as_pytorch_did(bundle: Path) -> None:
    """TFLite files in this machine's Python, as on a board; the certificate says where, beside the bundle's own."""
    done = verify_on(bundle, "local")
    assert done.exit_code == 0, done.output
    certificate = Certificate.load(bundle / "certificate-local.json")
    assert "(local)" in certificate.machine
    assert {file.name for file in certificate.files} == {path.name for path in bundle.glob("*.tflite")}
    for file in certificate.files:
        assert file.verdict == "passed"
        assert file.runtime.startswith("tflite ")
        assert file.max_error is not None
        assert file.max_error <= (1e-4 if "fp32" in file.name else 0.25)
    assert not (bundle / "certificate.json").exists()


def test_a_file_that_scores_otherwise_there_is_at_fault(bundle: Path) -> None:
    """A clip file of another subnet's scores: exit code 1, and it alone misses the bar."""
    other, mine = bundle / "clip.int8.tflite", bundle / "clip.fp32.tflite"
    shutil.copy(other, mine)
    state_true_hashes(bundle)
    done = verify_on(bundle, "local", "--json")
    assert done.exit_code == 1, done.output
    said = json.loads(done.stdout)
    faults = {file["name"]: file["faults"] for file in said["files"]}
    assert len(faults[mine.name]) == 1
    assert "the bar is 0.0001" in faults[mine.name][0]
    assert not any(fault for name, fault in faults.items() if name != mine.name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--data", "somewhere"), "--data has no meaning with --target"),
        (("--run", "somewhere", "--threads", "2"), "--run, --threads have no meaning with --target"),
        (("--split", "test"), "--split has no meaning with --target"),
        (("--agent", "python", "--python", "venv/python"), "names no Python of a device"),
    ],
)
def test_wrong_wishes_are_one_line(bundle: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, and no certificate."""
    done = verify_on(bundle, "local", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not list(bundle.glob("certificate*"))


def test_an_unknown_target_lists_the_known_ones(bundle: Path) -> None:
    """And nothing is reached."""
    done = verify_on(bundle, "moon")
    assert done.exit_code == 2
    assert "known: local (this machine), ssh://" in done.stderr


@pytest.mark.system
def test_an_emulated_pi_scores_as_pytorch_did(
    small_bundle: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """TFLite in its Python, ExecuTorch in the native runner; `clip` and `stream`, fp32 and int8, over ssh."""
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "mine"))
    with emulated_pi(tmp_path_factory.mktemp("pi")) as server:
        monkeypatch.setenv("PATH", f"{server.client}:{os.environ['PATH']}")
        done = verify_on(bundle, "ssh://kitchen", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["machine"] == "aarch64 (ssh://kitchen)"
    files = {file["name"]: file for file in said["files"]}
    expected = {
        f"{mode}.{precision}.{suffix}"
        for mode in ("clip", "stream")
        for precision in ("fp32", "int8")
        for suffix in ("tflite", "pte")
    }
    assert set(files) == expected
    for name, file in files.items():
        assert file["max_error"] <= (1e-4 if "fp32" in name else 0.25)
        assert file["faults"] == []


def test_core_ml_is_not_played_on_a_device(every_bundle: Path, tmp_path: Path) -> None:
    """Nor is ONNX: they read `not run`, and nothing counts as passed: exit code 1."""
    bundle = Path(shutil.copytree(every_bundle, tmp_path / "mine"))
    keep_runtimes(bundle, "coreml", "onnx")
    done = verify_on(bundle, "local", "--json")
    assert done.exit_code == 1, done.output
    said = json.loads(done.stdout)
    assert said["passed"] is False
    assert {file["not_run"] for file in said["files"]} == {
        f"no agent runs {runtime} files on a device" for runtime in ("coreml", "onnx")
    }
