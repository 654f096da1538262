"""A Run opens whole or says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes import LABELS, fake_run
from toolkit.specs import shipped
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.run import Run, SubnetResult, write_results
from toolkit.specs.space import Subnet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small whole Run."""
    return fake_run(tmp_path / "run")


def test_a_run_holds_an_evaluation_of_each_subnet(folder: Path) -> None:
    """An opened Run knows labels, space and the evaluation of every subnet."""
    run = Run.open(folder)
    assert run.manifest.labels == LABELS
    assert len(run.results) == len(run.manifest.space)
    assert {run.result(subnet).subnet for subnet in run.manifest.space.subnets()} == set(run.results)
    run.check_weights()


def test_a_subnet_that_was_never_evaluated_is_one_clear_error(folder: Path) -> None:
    """The error names the subnet and the Run."""
    with pytest.raises(UserError, match=r"Run fake .* 1\.1-1\.1-1"):
        Run.open(folder).result(Subnet.parse("1.1-1.1-1"))


def test_without_a_folder_the_shipped_run_is_meant(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Run.open()` opens the Run that travels with the toolkit."""
    monkeypatch.setattr("toolkit.specs.run.DEFAULT_RUN", folder)
    assert Run.open().folder == folder
    assert shipped.DEFAULT_RUN.parts[-2:] == ("runs", "default")


def test_the_hash_follows_manifest_and_results(folder: Path) -> None:
    """The hash stays while the text stays, and changes with an evaluation or with the manifest."""
    run = Run.open(folder)
    first = run.hash
    assert Run.open(folder).hash == first
    results = list(run.results.values())
    write_results(
        folder / "subnets.jsonl", [results[0].model_copy(update={"mean_average_precision": 0.0}), *results[1:]]
    )
    second = Run.open(folder).hash
    assert second != first
    run.manifest.model_copy(update={"name": "other"}).save(folder / "run.json")
    assert Run.open(folder).hash not in (first, second)


def test_results_read_back_equal(folder: Path) -> None:
    """Evaluations and activation ranges survive the file."""
    results = [SubnetResult(subnet="1.1-2", mean_average_precision=0.25, ranges={"conv1": (0.0, 3.5)})]
    write_results(folder / "subnets.jsonl", results)
    assert Run.open(folder).results == {"1.1-2": results[0]}


@pytest.mark.parametrize("name", ["run.json", "subnets.jsonl", "weights.safetensors", "norms.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """A Run without one of its files is refused by that file's name."""
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        Run.open(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "norms.safetensors"])
def test_damaged_weights_are_found(folder: Path, name: str) -> None:
    """A changed byte in the weights or the norms is found by `check_weights`."""
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is damaged"):
        Run.open(folder).check_weights()


def test_a_broken_line_is_named(folder: Path) -> None:
    """A fault in one evaluation is told with its line and field."""
    lines = (folder / "subnets.jsonl").read_text().splitlines()
    broken = json.loads(lines[2]) | {"mean_average_precision": 1.5}
    (folder / "subnets.jsonl").write_text("\n".join([*lines[:2], json.dumps(broken), *lines[3:]]))
    with pytest.raises(UserError, match=r"(?s)subnets\.jsonl line 3 .*mean_average_precision"):
        Run.open(folder)


def test_a_run_of_another_schema_is_a_mismatch(folder: Path) -> None:
    """A Run that a later toolkit wrote is refused as such."""
    raw = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(raw | {"schema_version": 99}))
    with pytest.raises(MismatchError, match="schema 99"):
        Run.open(folder)
