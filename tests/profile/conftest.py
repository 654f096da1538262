"""A network small enough to be converted and measured in a test, as a Run, and its packs, made once for all workers."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from tests.fakes import fake_run
from toolkit.profile.context import whole_subnets
from toolkit.profile.pack import ensure_pack
from toolkit.specs.run import Run
from toolkit.specs.space import SearchSpace

TINY = SearchSpace(name="tiny", base_width=4, ratios=(1.0,), depths=((1,), (1,), (1, 2)))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Run of the tiny space, read only."""
    return fake_run(tmp_path_factory.mktemp("tiny"), space=TINY)


@pytest.fixture(scope="session")
def packs(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with the int8 and fp32 packs of the tiny space in `stream` mode, read only."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "packs"
    run = Run.open(tiny_run).manifest
    layers = run.space.all_layers(run.front_end, len(run.labels), "stream")
    with FileLock(str(folder) + ".lock"):
        for precision in ("int8", "fp32"):
            wholes = whole_subnets(run.space)
            ensure_pack(run, layers, "tflite", precision, "stream", folder, lambda *_: None, wholes)
    return folder
