"""A folder as several devices, a measurement and certificates leave it; some texts in it are hostile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.costs.invented import ENVIRONMENT, invented_row, invented_table, save_table, write_profile
from tests.fakes import fake_run
from tests.search.conftest import Place
from toolkit.search.search import Question, look
from toolkit.specs.certificate import Certificate, FileCertificate, LabelledScore
from toolkit.specs.cost import CostTable, Measurement
from toolkit.specs.measured import Comparison, Measured, Suspect, measured_path
from toolkit.specs.run import Run

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
MEASURED, MODELLED, TIGHT = "lab", "board", "tight"


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Run with a hostile label, read only."""
    return fake_run(tmp_path_factory.mktemp("run"), labels=("Bell", HOSTILE, "Dog & cat", "Rain"))


@pytest.fixture
def place(tmp_path: Path, run_folder: Path) -> Place:
    """A measured and a modelled device, one that nothing fits, and no results yet."""
    return make_place(tmp_path, run_folder)


@pytest.fixture
def full_place(place: Place) -> Place:
    """The same with a measurement that missed in latency, and certificates of two bundles."""
    return fill(place)


@pytest.fixture(scope="session")
def shown_place(tmp_path_factory: pytest.TempPathFactory, run_folder: Path) -> Place:
    """As `full_place`, not to be changed, under a path longer than a phone's screen is wide."""
    return fill(make_place(tmp_path_factory.mktemp("a" * 80), run_folder))


def make_place(folder: Path, run_folder: Path) -> Place:
    """Profiles and tables of three devices."""
    devices = folder / "devices"
    write_profile(devices, MEASURED, "max_core_share = 0.5")
    write_profile(devices, MODELLED, "max_core_share = 0.013, max_memory_mb = 0.45")
    write_profile(devices, TIGHT, "max_memory_mb = 0.001")
    run = Run.open(run_folder)
    save_table(invented_table(run, kind="measured", device=MEASURED), devices / "tables")
    modelled = invented_table(run, device=MODELLED)
    noted = [invented_row(row.layer).model_copy(update={"note": HOSTILE}) for row in modelled.rows.values()]
    for at, latency_us in enumerate((12.5, 12.25)):  # in the order of words, not of numbers
        noted[at] = noted[at].model_copy(update={"latency_us": latency_us})
    save_table(CostTable(modelled.key, noted), devices / "tables")
    save_table(invented_table(run, device=TIGHT), devices / "tables")
    return Place(run_folder, devices, folder / "out")


def fill(place: Place) -> Place:
    """Add results."""
    (answer,) = look(Question((MEASURED,), run=place.run, devices=place.devices, out=place.out)).each
    predicted_ms = answer.pick.predicted.latency_ms.value
    record = Measured(
        pick=answer.pick,
        target="ssh://pi@kitchen",
        agent="NativeAgent",
        file_sha256="0" * 64,
        measurement=Measurement(latencies_us=(1.0, 2.0), warmups_us=(), environment=ENVIRONMENT),
        base_bytes=1_000_000,
        peak_bytes=None,
        latency_ms=Comparison.of(predicted_ms, "measured", predicted_ms / 1.25),
        memory_mb=None,
        memory_note="this agent does not tell its memory",
        suspects=(Suspect(layer="conv2d-k3-8x8-9x9", kind="measured", share=0.4, variation=0.07, measured_utc=None),),
        remarks=(HOSTILE,),
        passed=False,
        created_utc="2026-01-02T03:04:05+00:00",
    )
    record.save(measured_path(answer.pick, place.out))
    _certificate(Run.open(place.run).hash).save(place.out / "bundles" / "lab-8" / "certificate.json")
    _certificate("f" * 16).save(place.out / "bundles" / "other" / "certificate-pi.json")
    return place


def _certificate(run_hash: str) -> Certificate:
    score = LabelledScore(data_hash="0", split="test", clips=9, labels=2, pytorch=0.8125, file=0.75)
    files = (
        _file("good.tflite", runtime="LiteRT 1.2.3", max_error=0.0125, mean_error=0.001, labelled=score),
        _file("bad.tflite", runtime="LiteRT 1.2.3", max_error=0.9, mean_error=0.1, faults=("error 0.9 > 0.05",)),
        _file("apple.mlpackage", not_run="needs macOS"),
    )
    return Certificate(subnet="8.8", run_hash=run_hash, machine=HOSTILE, audio="a made-up scene", files=files)


def _file(name: str, **others: object) -> FileCertificate:
    return FileCertificate.model_validate(
        {"name": name, "mode": "stream", "sha256": "0", "size_bytes": 1_500_000, **others}
    )
