"""A Run learns the labels of few recordings; what it knew stays as it was, and every other verb takes the new Run."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from tests.tiny_run import write_sound
from toolkit.audio.dataset import load_dataset
from toolkit.progress import Progress
from toolkit.specs.errors import UserError
from toolkit.specs.run import CARD, CREDITS, IMPRINTS, MANIFEST, NORMS, SUBNETS, WEIGHTS, Run, write_results
from toolkit.supernet.weights import load_weights
from toolkit.train.__main__ import main
from toolkit.train.adapt import adapt
from toolkit.train.imprints import load_imprints

OLD = ("Alarm", "Dog", "Siren")
SOUND_OF = {"Doorbell": ("Bell",), "Kettle": ("Kettle",), "Dog": ("Dog",), "background": ()}
"""What is heard in a class folder of these tests."""
CROP_FRAMES = 128


def call(*arguments: object) -> Result:
    """Call the verb."""
    threads = torch.get_num_threads()
    try:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])
    finally:
        torch.set_num_threads(threads)


def record(folder: Path, counts: Mapping[str, int]) -> Path:
    """Class folders with so many clips each; their folder."""
    rng = np.random.default_rng(8)
    for name, count in counts.items():
        for number in range(count):
            write_sound(folder / name / f"{number:02}.wav", SOUND_OF[name], rng)
    return folder


@pytest.fixture(scope="module")
def parent(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Run with evaluations of both ends alone, so that a test takes seconds; its recipe's crops are as long as
    the clips. Not to be changed.
    """
    folder = shutil.copytree(tiny_run, tmp_path_factory.mktemp("parent") / "run", ignore=shutil.ignore_patterns("work"))
    run = Run.open(folder)
    write_results(folder / SUBNETS, map(run.result, (run.manifest.space.smallest, run.manifest.space.largest)))
    recipe = run.manifest.recipe.model_copy(update={"crop_frames": CROP_FRAMES})
    run.manifest.model_copy(update={"recipe": recipe}).save(folder / MANIFEST)
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of two new labels, of one that the Run knows, and of neither."""
    counts = {"Doorbell": 20, "Kettle": 20, "Dog": 4, "background": 8}
    return record(tmp_path_factory.mktemp("recorded") / "my sounds", counts)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fewer recordings, of one new label."""
    return record(tmp_path_factory.mktemp("few") / "few sounds", {"Doorbell": 8, "Dog": 4, "background": 4})


@pytest.fixture(scope="module")
def taught(parent: Path, sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the Run that learnt them; not to be changed."""
    out = tmp_path_factory.mktemp("taught") / "my sounds"
    with Progress() as progress:
        return adapt(Run.open(parent), load_dataset(sounds), out, progress=progress).folder


def test_new_labels_are_learnt(taught: Path) -> None:
    """On recordings that were not trained on, a new label's sounds score above the other's and above the rest."""
    run = Run.open(taught)
    assert run.manifest.labels == (*OLD, "Doorbell", "Kettle")
    doorbell, kettle = run.manifest.decisions[-2:]
    for decision in (doorbell, kettle):
        assert decision.average_precision is not None
        assert decision.average_precision > 0.8
        assert decision.calibrated
        assert decision.train_clips + decision.validation_clips == 20


def test_what_was_known_stays_to_the_bit(parent: Path, taught: Path) -> None:
    """Every weight, statistic, row, decision and threshold of the old Run is in the new one, and so are its scores."""
    old, new = Run.open(parent), Run.open(taught)
    (net, norms), (taught_net, taught_norms) = load_weights(old), load_weights(new)
    weights = taught_net.state_dict()
    for name, value in net.state_dict().items():
        found = weights[name][: len(OLD)] if name.startswith("head.") else weights[name]
        assert torch.equal(found, value), name
    assert norms.moments.keys() == taught_norms.moments.keys()
    assert all(
        torch.equal(value, taught_norms.moments[path][moment])
        for path, pair in norms.moments.items()
        for moment, value in enumerate(pair)
    )
    assert new.manifest.decisions[: len(OLD)] == old.manifest.decisions
    frames = torch.from_numpy(np.random.default_rng(2).normal(-60, 10, (2, 1, 64, 64)).astype(np.float32))
    assert list(new.results) == list(old.results)
    for subnet in (net.space.smallest, net.space.largest):
        assert new.result(subnet).thresholds[: len(OLD)] == old.result(subnet).thresholds
        with torch.no_grad():
            scores, taught_scores = net(frames, subnet, norms), taught_net(frames, subnet, taught_norms)
        torch.testing.assert_close(taught_scores[:, : len(OLD)], scores)


def test_figures_are_those_of_old_and_new_labels(parent: Path, taught: Path) -> None:
    """A subnet's mAP is the mean over all labels, the old ones as they were; ranges hold the old ones and the new."""
    old, new = Run.open(parent), Run.open(taught)
    largest = new.manifest.space.largest
    before, after = old.result(largest), new.result(largest)
    added = [decision.average_precision or 0 for decision in new.manifest.decisions[-2:]]
    mean = (len(OLD) * before.mean_average_precision + sum(added)) / (len(OLD) + 2)
    assert after.mean_average_precision == pytest.approx(mean, abs=1e-5)
    assert after.ranges.keys() == before.ranges.keys()
    for tap, (low, high) in before.ranges.items():
        assert after.ranges[tap][0] <= low < high <= after.ranges[tap][1]
    assert after.thresholds == tuple(decision.threshold for decision in new.manifest.decisions)


def test_the_run_remembers_old_and_new_sounds(parent: Path, taught: Path) -> None:
    """Imprints of what the Run knew are kept, those of the new labels join them; the file is sealed by the manifest."""
    before, after = load_imprints(Run.open(parent)), load_imprints(Run.open(taught))
    assert before is not None
    assert after is not None
    assert before.labels == OLD
    assert after.labels == (*OLD, "Doorbell", "Kettle", "")
    assert torch.equal(after.means[: len(OLD)], before.means)
    assert set(Run.open(taught).manifest.sha256) == {WEIGHTS, NORMS, IMPRINTS}


def test_card_and_credits_tell_where_it_comes_from(parent: Path, sounds: Path, taught: Path) -> None:
    """The card names the old Run, the new labels and what they rest on; credits are the old Run's and the new ones."""
    old, new = Run.open(parent), Run.open(taught)
    card = (taught / CARD).read_text()
    assert new.manifest.name == "my sounds"
    assert new.manifest.parent == f"tiny {old.hash}"
    assert card.startswith("# Model card: my sounds\n")
    assert f"Run `tiny {old.hash}` with 2 new labels: Doorbell, Kettle." in card
    assert "rows of 3 labels are unchanged." in card
    assert f"Data hash `{load_dataset(sounds).data_hash}`" in card
    assert old.manifest.data_summary in card
    for decision in new.manifest.decisions:
        assert f"| {decision.label} | {decision.train_clips} | {decision.validation_clips} | " in card
    assert "Not for safety" in card
    assert not re.search(r"/(tmp|home)\b", card)
    lines, inherited = (list(csv.reader((folder / CREDITS).read_text().splitlines())) for folder in (taught, parent))
    assert lines[: len(inherited)] == inherited
    assert [line[0] for line in lines[len(inherited) :]] == sorted(clip.name for clip in load_dataset(sounds).clips)


def test_only_keeps_the_labels_of_the_recordings(parent: Path, few: Path, tmp_path: Path) -> None:
    """With --only the other labels are gone; one that both know has its row and is judged on these recordings."""
    out = tmp_path / "mine"
    done = call("--from", parent, "--data", few, "--out", out, "--only")
    assert done.exit_code == 0, done.output
    old, new = Run.open(parent), Run.open(out)
    assert new.manifest.labels == ("Dog", "Doorbell")
    (net, _), (changed, _) = load_weights(old), load_weights(new)
    assert torch.equal(changed.head.weight[0], net.head.weight[OLD.index("Dog")])
    dog = new.manifest.decisions[0]
    assert (dog.train_clips, dog.validation_clips) == (3, 1)
    precisions = [decision.average_precision or 0 for decision in new.manifest.decisions]
    found = new.result(new.manifest.space.largest)
    assert found.mean_average_precision == pytest.approx(np.mean(precisions), abs=1e-5)
    assert len(found.thresholds) == 2
    assert "these labels it no longer tells: Alarm, Siren." in (out / CARD).read_text()


def test_only_can_learn_nothing_and_choose(parent: Path, tmp_path: Path) -> None:
    """Recordings of known labels alone make a Run of these labels, whose rows are as they were."""
    data = record(tmp_path / "dogs", {"Dog": 4, "background": 4})
    done = call("--from", parent, "--data", data, "--out", tmp_path / "out", "--only", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["labels"] == ["Dog"]
    (net, _), (changed, _) = load_weights(Run.open(parent)), load_weights(Run.open(tmp_path / "out"))
    assert torch.equal(changed.head.weight, net.head.weight[OLD.index("Dog")][None])


def test_a_run_without_imprints_can_learn(parent: Path, few: Path, tmp_path: Path) -> None:
    """A Run that was written before there were imprints learns too, and the new one has none either."""
    older = shutil.copytree(parent, tmp_path / "older")
    manifest = Run.open(older).manifest
    (older / IMPRINTS).unlink()
    kept = {name: digest for name, digest in manifest.sha256.items() if name != IMPRINTS}
    manifest.model_copy(update={"sha256": kept}).save(older / MANIFEST)
    done = call("--from", older, "--data", few, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {WEIGHTS, NORMS, SUBNETS, MANIFEST, CARD, CREDITS}
    doorbell = Run.open(tmp_path / "out").manifest.decisions[-1]
    assert (doorbell.average_precision or 0) > 0.8


def test_labels_with_too_few_recordings_are_named(
    parent: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are left out with their counts; where no other label is left, that is an error and nothing is written."""
    data = record(tmp_path / "sounds", {"Doorbell": 8, "Kettle": 3, "background": 4})
    done = call("--from", parent, "--data", data, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert Run.open(tmp_path / "out").manifest.labels == (*OLD, "Doorbell")
    assert "left out: too few recordings of Kettle (" in caplog.text
    shutil.rmtree(data / "Doorbell")
    refused = call("--from", parent, "--data", data, "--out", tmp_path / "none")
    assert refused.exit_code == 2
    assert "too few recordings of Kettle (" in refused.stderr
    assert "needs 5 to train + 1 to validate" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_recordings_of_known_labels_teach_nothing(tmp_path: Path) -> None:
    """Where the Run knows every label that is refused in one line; `default` names the committed Run."""
    data = record(tmp_path / "sounds", {"Dog": 4})
    refused = call("--from", "default", "--data", data, "--out", tmp_path / "out")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: Run default knows every label of the data: Dog.")
    assert [path.name for path in tmp_path.iterdir()] == ["sounds"]


def test_no_other_sounds_are_missed(parent: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing says what the new label is not, a warning says so and what to record."""
    data = record(tmp_path / "sounds", {"Doorbell": 8})
    assert call("--from", parent, "--data", data, "--out", tmp_path / "out").exit_code == 0
    assert "no recording without Doorbell" in caplog.text
    assert "folder named background" in caplog.text


def test_a_folder_that_is_not_empty_is_left_alone(parent: Path, few: Path) -> None:
    """A Run is never taught in place or written over another."""
    before = {path: path.read_bytes() for path in parent.iterdir()}
    refused = call("--from", parent, "--data", few, "--out", parent)
    assert refused.exit_code == 2
    assert "is not empty. Name another --out." in refused.stderr
    assert {path: path.read_bytes() for path in parent.iterdir()} == before


def test_an_error_leaves_no_half_run(parent: Path, few: Path, tmp_path: Path) -> None:
    """Whatever fails late, nothing is left of the new Run."""

    class Full(Progress):
        def count(self, what: str, done: int, total: int, note: str = "") -> None:
            if what == "activation ranges":
                raise OSError(28, "No space left on device")

    with Full() as progress, pytest.raises(OSError, match="No space"):
        adapt(Run.open(parent), load_dataset(few), tmp_path / "out", progress=progress)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from toolkit.audio.dataset import load_dataset
from toolkit.progress import Progress
from toolkit.specs.run import Run
from toolkit.train.adapt import adapt

class Killer(Progress):
    def count(self, what, done, total, note=""):
        if what == "activation ranges":
            os.kill(os.getpid(), signal.SIGKILL)

parent, sounds, out = map(Path, sys.argv[1:])
adapt(Run.open(parent), load_dataset(sounds), out, progress=Killer())
"""


def test_a_kill_leaves_no_half_run(parent: Path, few: Path, tmp_path: Path) -> None:
    """After kill -9 there is no Run, and the same command, given again, makes one."""
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, *map(str, (parent, few, out))]
    killed = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(UserError, match="holds no Run"):
        Run.open(out)
    assert call("--from", parent, "--data", few, "--out", out).exit_code == 0
    load_weights(Run.open(out))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--only",), "--only goes with --from"),
        (("--from", "default", "--recipe", "plain"), "--recipe: not with --from"),
        (("--from", "default", "--resume", "--stages", "kd"), "--stages, --resume: not with --from"),
        (("--from", "nowhere"), "nowhere holds no Run"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    """They are named, exit 2, before anything is read or written."""
    refused = call(*options, "--data", tmp_path, "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert told in refused.stderr
    assert not (tmp_path / "out").exists()


def test_what_is_printed(parent: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Run, by default named as the data are, how its ends and new labels do, and the next commands; or JSON."""
    monkeypatch.chdir(tmp_path)
    done = call("--from", parent, "--data", few)
    assert done.exit_code == 0, done.output
    folder = Path("out/runs/few sounds")
    run = Run.open(folder)
    lines = done.stdout.splitlines()
    assert lines[0] == f"Run few sounds: 4 labels, {len(run.results)} subnets, in {folder}"
    for line, subnet in zip(lines[1:3], (run.manifest.space.smallest, run.manifest.space.largest), strict=True):
        assert line == f"  {subnet}: validation mAP {run.result(subnet).mean_average_precision:.3f}"
    precision = run.manifest.decisions[-1].average_precision
    assert lines[3] == f"  Doorbell: average precision {precision:.3f} on 3 validation recordings"
    following = [
        f"python -m toolkit.{name} --device pixel7 --run '{folder}'" for name in ("profile", "search", "export")
    ]
    assert lines[4].removeprefix("next: ") == following[0]
    assert [line.strip() for line in lines[5:]] == following[1:]
    answer = json.loads(call("--from", parent, "--data", few, "--out", "again", "--json").stdout)
    assert answer == {
        "run": "again",
        "labels": [*OLD, "Doorbell"],
        "subnets": len(run.results),
        "mean_average_precision": {
            subnet.id: run.result(subnet).mean_average_precision
            for subnet in (run.manifest.space.smallest, run.manifest.space.largest)
        },
        "new": ["Doorbell"],
        "parent": f"tiny {Run.open(parent).hash}",
        "next_commands": [line.replace(f"'{folder}'", "again") for line in following],
    }


def test_the_other_verbs_take_it(taught: Path, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profile, search, export (stream, int8) and listen, as the next commands say."""
    from toolkit.export.__main__ import main as export_verb
    from toolkit.listen.__main__ import main as listen_verb
    from toolkit.profile.__main__ import main as profile_verb
    from toolkit.search.__main__ import main as search_verb

    monkeypatch.chdir(tmp_path)
    of_run = ["--device", "pixel7", "--run", str(taught), "--json"]
    answers = []
    for verb, options in (
        (profile_verb, []),
        (search_verb, []),
        (export_verb, ["--mode", "stream"]),
    ):
        done = CliRunner().invoke(verb, [*of_run, *options])
        assert done.exit_code == 0, done.output
        answers.append(json.loads(done.stdout))
    bundle = answers[-1]["bundle"]
    assert answers[1]["answers"][0]["pick"]["run_hash"] == Run.open(taught).hash
    wav = sounds / "Doorbell" / "00.wav"
    heard = CliRunner().invoke(listen_verb, ["--bundle", bundle, "--wav", str(wav), "--json"])
    assert heard.exit_code == 0, heard.output
    labels = json.loads((Path(bundle) / "manifest.json").read_text())["labels"]
    assert labels[-2:] == ["Doorbell", "Kettle"]
