"""What every suite shares: one thread a test worker, reproducible properties, and the folder of recordings."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# Before torch is imported: pytest-xdist fills the cores with workers, each of which takes one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

hypothesis.settings.register_profile("toolkit", deadline=None, derandomize=True)
hypothesis.settings.load_profile("toolkit")


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings, for tests marked `recordings`; its manifest.csv lists them."""
    folder = os.environ.get("AEC_DATA", "")
    if not Path(folder, "manifest.csv").is_file():
        found = f"AEC_DATA={folder!r} names no folder with a manifest.csv."
        pytest.fail(f"{found} Run these tests with: AEC_DATA=FOLDER make test-recordings", pytrace=False)
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Run that was trained for two steps on made-up sounds; not to be changed."""
    from tests.tiny_run import make_tiny_run

    return make_tiny_run(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def calibrated_run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Run, its smallest subnet with activation ranges that fit the tests' sounds; not to be changed."""
    from tests.tiny_bundle import calibrate

    return calibrate(tiny_run, tmp_path_factory.mktemp("calibrated") / "run")


@pytest.fixture(scope="session")
def tiny_bundle(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle of that Run's smallest subnet, TFLite in fp32 and int8; not to be changed."""
    from tests.tiny_bundle import make_tiny_bundle

    return make_tiny_bundle(calibrated_run, tmp_path_factory.mktemp("out"))


@pytest.fixture(scope="session")
def small_bundle(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle of the tiny Run's smallest subnet: TFLite and ExecuTorch, `clip` and `stream`."""
    from tests.tiny_bundle import make_tiny_bundle

    wanted = ("--runtime", "tflite", "--runtime", "executorch", "--precision", "fp32", "--precision", "int8")
    return make_tiny_bundle(
        calibrated_run, tmp_path_factory.mktemp("small"), *wanted, "--mode", "clip", "--mode", "stream"
    )


@pytest.fixture(scope="session")
def every_bundle(calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same subnet for every runtime in every precision, as `stream` and `frames`; not to be changed."""
    from tests.tiny_bundle import make_tiny_bundle

    wanted = ("--runtime", "all", "--precision", "all", "--mode", "stream", "--mode", "frames")
    return make_tiny_bundle(calibrated_run, tmp_path_factory.mktemp("every"), *wanted)
