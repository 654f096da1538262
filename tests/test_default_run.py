"""The committed default Run: whole, small, from open recordings alone, and what the shipped tables and budgets fit."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from toolkit.audio.dataset import Dataset, load_dataset
from toolkit.costs.tables import differences
from toolkit.search.__main__ import main as search_verb
from toolkit.specs.cost import CostTable
from toolkit.specs.run import CARD, CREDITS, IMPRINTS, MANIFEST, NORMS, SUBNETS, WEIGHTS, Run
from toolkit.specs.shipped import DEFAULT_RUN, DEVICES
from toolkit.supernet.static import StaticNet
from toolkit.supernet.weights import load_weights
from toolkit.train.evaluate import score_all
from toolkit.train.examples import gather
from toolkit.train.metrics import mean_average_precision

MAX_BYTES = 5_000_000
SHIPPED_DEVICES = ("pixel6", "pixel7", "rpi-zero2w", "rpi4", "rpi5", "smart-speaker")
TABLES = sorted((DEVICES / "tables").glob("*.jsonl"))
LICENCE = re.compile(r"CC0|CC-BY(?:-[A-Z]{2})*|Apache|MIT|public domain")
FREE = {"CC0", "CC-BY", "CC-BY-SA", "Apache", "MIT", "public domain"}


@pytest.fixture(scope="module")
def run() -> Run:
    """The default Run."""
    return Run.open()


def credited() -> list[dict[str, str]]:
    """The rows of the Run's credits."""
    with (DEFAULT_RUN / CREDITS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_is_small_and_its_weights_are_those_of_the_manifest(run: Run) -> None:
    """At most 5 MB in all, nothing beside the files of a Run, and the bytes that were evaluated."""
    names = {path.name for path in DEFAULT_RUN.iterdir()}
    assert names - {IMPRINTS} == {MANIFEST, SUBNETS, WEIGHTS, NORMS, CARD, CREDITS}
    assert sum(path.stat().st_size for path in DEFAULT_RUN.iterdir()) <= MAX_BYTES
    assert set(run.manifest.sha256) == {WEIGHTS, NORMS} | (names & {IMPRINTS})
    run.check_weights()


def test_it_is_the_space_that_was_promised(run: Run) -> None:
    """Base width 32 of the default space with its 128 subnets, in the paper's front end."""
    space = run.manifest.space
    assert (space.name, space.base_width, len(space)) == ("ew-ed-22x", 32, 128)
    assert run.manifest.front_end.sample_rate_hz == 32_000
    assert run.manifest.recipe.tier == "open"


def test_every_subnet_can_be_exported(run: Run) -> None:
    """Each of the 128 has an evaluation, norms that give finite scores, and a range for each tensor that int8 needs."""
    net, norms = load_weights(run)
    space = run.manifest.space
    assert set(run.results) == {subnet.id for subnet in space.subnets()}
    frames = torch.full((1, 1, 16, run.manifest.front_end.mel_bins), -50.0)
    with torch.no_grad():
        for subnet in space.subnets():
            taps = StaticNet.extract(net, subnet, norms).taps(frames)
            assert taps["logits"].shape == (1, len(run.manifest.labels))
            assert torch.isfinite(taps["logits"]).all(), subnet.id
            ranges = run.result(subnet).ranges
            assert list(ranges) == list(taps), subnet.id
            assert all(math.isfinite(low) and low < high < math.inf for low, high in ranges.values()), subnet.id


def test_its_labels_are_about_thirty(run: Run) -> None:
    """With Alarm and Siren, each with recordings to train on and a threshold."""
    labels, decisions = run.manifest.labels, run.manifest.decisions
    assert 25 <= len(labels) <= 35
    assert len(set(labels)) == len(labels)
    assert {"Alarm", "Siren"} <= set(labels)
    assert all(decision.train_clips >= 10 for decision in decisions)
    assert sum(decision.average_precision is not None for decision in decisions) >= len(labels) / 2
    assert 0.5 < run.result(run.manifest.space.largest).mean_average_precision <= 1


def test_every_recording_is_credited_and_free(run: Run) -> None:
    """Each has a source and a free licence, none that forbids commerce or change; they are as many as the Run says."""
    rows = credited()
    names = [row["file"] for row in rows]
    assert len(set(names)) == len(names)
    for row in rows:
        licence, found = row["licence"], set(LICENCE.findall(row["licence"]))
        assert found, row
        assert found <= FREE, row
        assert not re.search(r"\bNC\b|\bND\b|non.?commercial|unclear|unknown|sampling", licence, re.IGNORECASE), row
        assert row["source"], row
        assert row["dataset"], row
    trained = Counter(label for row in rows if row["split"] == "train" for label in row["labels"].split(";"))
    assert {decision.label: decision.train_clips for decision in run.manifest.decisions} == {
        label: trained[label] for label in run.manifest.labels
    }
    assert f"{sum(row['split'] == 'train' for row in rows)} recordings to train" in run.manifest.data_summary


def test_the_card_says_what_it_rests_on(run: Run) -> None:
    """Generated sounds by label and number, each dataset with its licences, each label with its recordings."""
    card = (DEFAULT_RUN / CARD).read_text(encoding="utf-8")
    assert set(run.manifest.recipe.generated) == {"Alarm", "Siren"}
    for label, count in run.manifest.recipe.generated.items():
        assert f"`{label}` was helped by {count} generated sounds" in card
    for dataset, count in Counter(row["dataset"] for row in credited()).items():
        licences = sorted({row["licence"] for row in credited() if row["dataset"] == dataset})
        assert f"| {dataset} | {count} | {', '.join(licences)} | {run.manifest.recipe.credits[dataset]} |" in card
    for decision in run.manifest.decisions:
        assert f"| {decision.label} | {decision.train_clips} | {decision.validation_clips} | " in card
    for subnet in (run.manifest.space.smallest, run.manifest.space.largest):
        assert re.search(
            rf"\| {re.escape(subnet.id)} \| [\d,]+ \| {run.result(subnet).mean_average_precision:.3f} \|", card
        )
    assert "Not for safety" in card


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_every_shipped_table_fits_it(run: Run, table: Path) -> None:
    """A shipped table was made for the default Run's space, front end and labels, and covers all of its layers."""
    manifest = run.manifest
    found = CostTable.load(table)
    assert table.name == found.key.file_name
    assert differences(found.key, manifest.space, manifest.front_end, len(manifest.labels)) == []
    for layer in manifest.space.all_layers(manifest.front_end, len(manifest.labels), found.key.mode):
        found.row(layer)


def test_every_shipped_device_has_its_tables() -> None:
    """Each device with a profile but `host`, in both modes and precisions."""
    kinds = {f"{precision}-{mode}" for precision in ("fp32", "int8") for mode in ("clip", "stream")}
    devices = {path.stem for path in DEVICES.glob("*.toml")} - {"host"}
    assert devices >= set(SHIPPED_DEVICES)
    names = {table.stem.rpartition("-")[0] for table in TABLES}
    assert names == {f"{device}-tflite-{kind}" for device in devices for kind in kinds}


def test_a_fresh_clone_searches_with_a_devices_name_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In an empty folder each device gets a Pick; every default budget binds, and not all get the largest subnet."""
    picked = {}
    for device in SHIPPED_DEVICES:
        (tmp_path / device).mkdir()
        monkeypatch.chdir(tmp_path / device)
        done = CliRunner().invoke(search_verb, ["--device", device, "--json"])
        assert done.exit_code == 0, done.output
        (answer,) = json.loads(done.stdout)["answers"]
        assert Path(answer["path"]).is_file()
        assert answer["pick"]["run_hash"] == run.hash
        assert 0 < answer["inside_budget"] < answer["subnets"] == 128
        assert (DEVICES / "tables") in Path(answer["table"]["path"]).parents
        picked[device] = answer["pick"]["subnet"]
    assert set(picked.values()) != {run.manifest.space.largest.id}


@pytest.fixture(scope="module")
def heard(run: Run, recordings: Path) -> Dataset:
    """The recordings behind the Run: of tier open, with one of its labels or as background."""
    dataset = load_dataset(recordings).subset(tier="open")
    background = [label for label in run.manifest.recipe.background_labels if label in dataset.labels]
    clips = dataset.subset(labels=[*run.manifest.labels, *background]).clips
    return Dataset(tuple(clip for clip in clips if clip.split in ("train", "validation")), run.manifest.labels)


@pytest.mark.recordings
def test_it_was_trained_on_open_recordings_alone(run: Run, heard: Dataset) -> None:
    """The credits are the open recordings of its labels, no more and no fewer, and their hash is the Run's."""
    assert {clip.name for clip in heard.clips} == {row["file"] for row in credited()}
    assert heard.data_hash == run.manifest.data_hash


@pytest.mark.recordings
def test_the_smallest_subnet_scores_what_the_run_says(run: Run, heard: Dataset) -> None:
    """Its mAP on the validation recordings, decoded and scored anew, is the stored one to 1e-3."""
    manifest, smallest = run.manifest, run.manifest.space.smallest
    # One training recording of each label is enough to gather the validation ones as a training does.
    first = {clip.labels: clip for clip in heard.clips if clip.split == "train"}
    validation = [clip for clip in heard.clips if clip.split == "validation"]
    recipe = manifest.recipe.model_copy(update={"generated": {}, "min_train_clips": 1})
    examples = gather(recipe, Dataset((*first.values(), *validation), heard.labels), lambda _, __, ___: None)
    assert examples.labels == manifest.labels
    assert examples.broken == 0
    assert {decision.label: decision.validation_clips for decision in manifest.decisions} == {
        label: examples.count(label, "validation") for label in manifest.labels
    }
    net, norms = load_weights(run)
    scores = score_all(net, norms, [smallest], examples.validation, lambda _, __: None)[smallest.id]
    found = mean_average_precision(scores, examples.targets(examples.validation))
    assert found == pytest.approx(run.result(smallest).mean_average_precision, abs=1e-3)
