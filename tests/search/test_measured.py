"""What is compared of a pick, whole processes alike on both sides, and the file that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.costs.invented import invented_table, save_table
from tests.search.conftest import Place
from tests.search.measuring import MODEL, write_bundles
from toolkit.search.measured import NO_PEAK, compare_memory, cores_of, exported
from toolkit.search.search import Question, search
from toolkit.specs.bundle import MANIFEST, BundleManifest, bundle_folder, open_bundle
from toolkit.specs.cost import CostTable, Figure
from toolkit.specs.measured import Comparison
from toolkit.specs.pick import Pick
from toolkit.specs.run import Run


@pytest.fixture
def pick(place: Place) -> Pick:
    """One whose memory is predicted as 3 MB."""
    (answer,) = search(Question(("board",), run=place.run, devices=place.devices, out=place.out)).each
    memory = {"memory_mb": Figure(value=3.0, kind="measured")}
    return answer.pick.model_copy(update={"predicted": answer.pick.predicted.model_copy(update=memory)})


@pytest.mark.parametrize(
    ("base_bytes", "peak_bytes", "expected"),
    [
        (1_000_000, 3_000_000, Comparison.of(3.0, "measured", 3.0)),
        (1_000_000, 4_000_000, Comparison.of(3.0, "measured", 4.0)),
        (11_000_000, 14_000_000, Comparison.of(13.0, "measured", 14.0)),
    ],
)
def test_memory_is_compared_like_with_like(
    place: Place, pick: Pick, base_bytes: int, peak_bytes: int, expected: Comparison
) -> None:
    """The table's runtime took 1 MB; another one's own memory is no error of the table."""
    key = invented_table(Run.open(place.run), runtime_base_bytes=1_000_000).key
    assert compare_memory(pick, key, base_bytes, peak_bytes) == (expected, "")


def test_what_cannot_be_compared_is_said(place: Place, pick: Pick) -> None:
    """No peak, or a table that does not know the runtime's own memory: no comparison, but a reason."""
    key = invented_table(Run.open(place.run)).key
    comparison, note = compare_memory(pick, key, 1_000_000, 4_500_000)
    assert comparison is None
    assert "(3.0 MB); the process took 4.5 MB, 3.5 MB more than without a model." in note
    assert compare_memory(pick, key, 1_000_000, None) == (None, NO_PEAK)


@pytest.mark.parametrize(
    ("kind", "mask", "threads", "cores"),
    [
        ("modelled", "0xf0", 1, (7,)),
        ("modelled", "0xf0", 2, (6, 7)),
        ("measured", "0x5", 1, (0, 2)),
        ("measured", "0x80", 1, (7,)),
    ],
)
def test_cores_are_those_of_the_table(place: Place, kind: str, mask: str, threads: int, cores: tuple[int, ...]) -> None:
    """All that were measured on; of a modelled cluster as many as threads, from its end."""
    table = invented_table(Run.open(place.run), kind=kind)  # type: ignore[arg-type]
    key = table.key.model_copy(update={"core_mask": mask, "threads": threads})
    assert cores_of(CostTable(key, table.rows.values())) == cores


@pytest.mark.xdist_group("bundle")
def test_a_bundle_is_made_once_and_in_a_place_of_its_own(
    calibrated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exported where none lies, taken as it is where one does, made again where it is of another Run."""
    run = Run.open(calibrated_run)
    save_table(invented_table(run, device="host", precision="fp32"), tmp_path / "tables")
    smallest = run.manifest.space.params(run.manifest.space.smallest, len(run.manifest.labels))
    question = Question(("host",), calibrated_run, precision="fp32", bounds={"max_params": smallest}, out=tmp_path)
    (answer,) = search(question).each

    def made() -> tuple[Path, int]:
        model = exported(run, answer.pick, tmp_path, lambda *_: None)
        return model, model.stat().st_mtime_ns

    model, first_ns = made()
    name = f"host-tflite-fp32-stream-{run.manifest.space.smallest.id}"
    assert model == tmp_path / "measured" / "bundles" / name / "stream.fp32.tflite"
    bundle = open_bundle(model.parent)
    assert (bundle.pick, len(bundle.files)) == (answer.pick, 1)
    assert made() == (model, first_ns)
    assert not (tmp_path / "bundles").exists()
    bundle.model_copy(update={"run_hash": "another"}).save(model.parent / MANIFEST)
    again: list[Path] = []

    def export(_order: object, folder: Path, _report: object) -> BundleManifest:
        again.append(folder)
        return bundle

    monkeypatch.setattr("toolkit.export.export.export", export)
    made()
    assert again == [model.parent]


def test_a_fitting_bundle_of_ones_own_is_taken(place: Place, pick: Pick) -> None:
    """What `export` made of the pick is what runs."""
    run = Run.open(place.run)
    write_bundles(run, place.out)
    own = bundle_folder(place.out, run, pick.subnet, "board")
    assert exported(run, pick, place.out, lambda *_: None) == own / MODEL


@pytest.mark.parametrize(
    "changes",
    [{"run_hash": "another"}, {"toolkit_version": "0.0.1"}, {"qat_data_hash": "0" * 16}, {"precision": "fp32"}],
)
def test_a_bundle_that_does_not_fit_stays_as_it_is(
    place: Place, pick: Pick, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measuring makes another one elsewhere; every byte of the one that people made, its certificate too, stays."""
    run = Run.open(place.run)
    write_bundles(run, place.out)
    folder = bundle_folder(place.out, run, pick.subnet, "board")
    (folder / "certificate.json").write_text("{}")
    bundle = open_bundle(folder)
    if precision := changes.get("precision"):
        changes = {"files": (bundle.files[0].model_copy(update={"precision": precision}),)}  # type: ignore[dict-item]
    bundle.model_copy(update=changes).save(folder / MANIFEST)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr("toolkit.export.export.choose_formats", lambda *_: ())
    monkeypatch.setattr("toolkit.export.export.export", lambda *_: bundle)
    assert exported(run, pick, place.out, lambda *_: None).is_relative_to(place.out / "measured" / "bundles")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
