"""A Run opens whole or says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import LABELS, fake_run, label_decision
from toolkit.specs import shipped
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.run import (
    SEARCHED,
    SEARCHED_NORMS,
    Run,
    SubnetResult,
    off_threshold,
    write_results,
    write_searched,
)
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
    """Evaluations, activation ranges, thresholds and event figures survive the file."""
    results = [
        SubnetResult(
            subnet="1.1-2",
            mean_average_precision=0.25,
            ranges={"conv1": (0.0, 3.5)},
            thresholds=(0.5, 0.9975, 0.1192, 1.0),
            event_f1=0.75,
            false_alarms_per_hour=None,
        )
    ]
    write_results(folder / "subnets.jsonl", results)
    assert Run.open(folder).results == {"1.1-2": results[0]}


def searched(folder: Path, *names: str) -> Run:
    """The Run after these subnets were searched, of which it knew nothing; its norms are a placeholder."""
    run = Run.open(folder)
    like = next(iter(run.results.values()))
    (folder / SEARCHED_NORMS).touch()
    write_searched(run, [like.model_copy(update={"subnet": name}) for name in names])
    return Run.open(folder)


def test_subnets_that_were_searched_are_known_too(folder: Path) -> None:
    """They come last, are told apart, and change neither the hash nor what was known."""
    before = Run.open(folder)
    run = searched(folder, "9.9-9.9-9", "8.8-8.8-8", before.manifest.space.largest.id)
    assert run.hash == before.hash
    assert list(run.results) == [*before.results, "9.9-9.9-9", "8.8-8.8-8"]
    assert run.searched == {"9.9-9.9-9", "8.8-8.8-8"}
    assert {name: result for name, result in run.results.items() if name in before.results} == before.results
    assert run.result(Subnet.parse("9.9-9.9-9")).subnet == "9.9-9.9-9"
    assert before.searched == frozenset()


def test_searched_subnets_of_other_weights_are_none(folder: Path) -> None:
    """After a training in the same folder what was searched before does not count."""
    run = searched(folder, "9.9-9.9-9")
    weights = {**run.manifest.sha256, "weights.safetensors": "0" * 64}
    run.manifest.model_copy(update={"sha256": weights}).save(folder / "run.json")
    again = Run.open(folder)
    assert again.searched == frozenset()
    assert "9.9-9.9-9" not in again.results


def test_searched_subnets_without_their_norms_are_told(folder: Path) -> None:
    """Lines without statistics are half of what belongs together; statistics without lines are nothing."""
    searched(folder, "9.9-9.9-9")
    (folder / SEARCHED_NORMS).unlink()
    with pytest.raises(UserError, match=rf"{SEARCHED_NORMS} is missing, which belongs to {SEARCHED}"):
        Run.open(folder)
    (folder / SEARCHED_NORMS).touch()
    (folder / SEARCHED).unlink()
    assert Run.open(folder).searched == frozenset()


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("", r"searched\.jsonl line 1 is not JSON"),
        ('{"schema_version": 1, "weights": "HASH"}\n{}\n', r"searched\.jsonl line 2 is not a good SubnetResult"),
    ],
)
def test_a_broken_line_of_searched_subnets_is_named(folder: Path, broken: str, told: str) -> None:
    """As it is for those of the training."""
    run = searched(folder, "9.9-9.9-9")
    (folder / SEARCHED).write_text(broken.replace("HASH", run.manifest.sha256["weights.safetensors"]))
    with pytest.raises(UserError, match=told):
        Run.open(folder)


def test_decisions_are_those_of_the_subnet(folder: Path) -> None:
    """A subnet is heard at its own thresholds; smoothing, calibration and hysteresis are the label's."""
    run = Run.open(folder)
    rules = [label_decision(label, smoothing_decisions=3, calibrated=label != "Dog") for label in LABELS]
    rules[1] = label_decision("Cough", threshold=0.9, off_threshold=0.36)
    run.manifest.model_copy(update={"decisions": tuple(rules)}).save(folder / "run.json")
    first, *others = run.results.values()
    own = first.model_copy(update={"thresholds": (0.2, 0.5, 0.8, 1.0)})
    write_results(folder / "subnets.jsonl", [own, *others])
    decisions = Run.open(folder).decisions(Subnet.parse(own.subnet))
    assert [(one.label, one.threshold, one.off_threshold) for one in decisions] == [
        ("Bell", 0.2, 0.16),
        ("Cough", 0.5, 0.2),
        ("Dog", 0.8, 0.64),
        ("Rain", 1.0, 0.8),
    ]
    assert [one.smoothing_decisions for one in decisions] == [3, 1, 3, 3]
    assert [one.calibrated for one in decisions] == [True, True, False, True]


@given(
    thresholds=st.lists(st.floats(0.05, 1), min_size=2, max_size=4),
    ratio=st.integers(0, 100).map(lambda percent: percent / 100),
)
def test_hysteresis_survives_any_change_of_threshold(thresholds: list[float], ratio: float) -> None:
    """However often the threshold is replaced, the off threshold keeps its ratio to it, and never lies above it."""
    first, *others = (round(threshold, 4) for threshold in thresholds)
    rule = label_decision("Dog", threshold=first, off_threshold=off_threshold(first, ratio))
    for threshold in others:
        rule = rule.at(threshold)
        assert (rule.threshold, rule.off_threshold) == (threshold, off_threshold(threshold, ratio))
        assert rule.off_threshold <= rule.threshold


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"threshold": 0.5, "off_threshold": 0.6}, "off_threshold 0.6 lies above threshold 0.5"),
        ({"smoothing_decisions": 4}, "must be odd, found 4"),
        ({"smoothing_decisions": 0}, "greater than or equal to 1"),
        ({"threshold": 0.0, "off_threshold": 0.0}, "greater than 0"),
    ],
)
def test_a_decision_that_cannot_be_obeyed_is_refused(fields: dict[str, float], told: str) -> None:
    """Each fault is named."""
    with pytest.raises(ValueError, match=told):
        label_decision("Dog", **fields)


def test_a_line_with_too_few_thresholds_is_named(folder: Path) -> None:
    """A subnet needs a threshold for each label of the Run."""
    first, second, *others = Run.open(folder).results.values()
    write_results(folder / "subnets.jsonl", [first, second.model_copy(update={"thresholds": (0.5,)}), *others])
    with pytest.raises(UserError, match=r"subnets\.jsonl line 2 has 1 thresholds for 4 labels"):
        Run.open(folder)


@pytest.mark.parametrize("name", ["run.json", "subnets.jsonl", "weights.safetensors", "norms.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """A Run without one of its files is refused by that file's name."""
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        Run.open(folder)


def test_every_file_that_the_manifest_names_must_be_there(folder: Path) -> None:
    """Files that not every Run has are asked for where the manifest holds their hash."""
    manifest = Run.open(folder).manifest
    named = {**manifest.sha256, "imprints.safetensors": "0" * 64}
    manifest.model_copy(update={"sha256": named}).save(folder / "run.json")
    with pytest.raises(UserError, match=r"imprints\.safetensors is missing"):
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


@pytest.mark.parametrize("label", ["Wi\nnd", "Wi\rnd", " "])
def test_a_label_is_a_line_of_text(folder: Path, label: str) -> None:
    """One that would be two lines of a bundle's labels, or none, is refused when the Run is opened."""
    raw = json.loads((folder / "run.json").read_text())
    raw["labels"][0] = raw["decisions"][0]["label"] = label
    (folder / "run.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"labels\.0: .*a label must be a line of text"):
        Run.open(folder)


def test_a_run_of_another_schema_is_a_mismatch(folder: Path) -> None:
    """A Run that a later toolkit wrote is refused as such."""
    raw = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(raw | {"schema_version": 99}))
    with pytest.raises(MismatchError, match="schema 99"):
        Run.open(folder)
