"""Weights and norms of a Run come back as they were written, or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.fakes import LABELS, fake_run, label_decision
from tests.limits import files_end_at
from tests.supernet.built import log_mel, supernet
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.run import MANIFEST, NORMS, SEARCHED_NORMS, SUBNETS, WEIGHTS, Run, write_results, write_searched
from toolkit.specs.space import preset_space
from toolkit.supernet.norms import StoredNorms, recalibrate
from toolkit.supernet.supernet import Supernet, steps
from toolkit.supernet.weights import load_moments, load_weights, round_to_half, save_moments, save_weights

MORE = (*LABELS, "Zither")


def edit(folder: Path, **changes: object) -> Run:
    """Change the manifest's fields, give it the hashes of the files as they are, and open the Run.

    Each subnet's result gets a threshold for every label.
    """
    run = Run.open(folder)
    hashes = {name: sha256(folder / name) for name in (WEIGHTS, NORMS)}
    manifest = run.manifest.model_copy(update=changes | {"sha256": hashes})
    thresholds = {"thresholds": (0.5,) * len(manifest.labels)}
    write_results(folder / SUBNETS, (result.model_copy(update=thresholds) for result in run.results.values()))
    manifest.save(folder / MANIFEST)
    return Run.open(folder)


def make(folder: Path) -> tuple[Supernet, StoredNorms, Run]:
    """A supernet, its norms and the Run that holds them."""
    net = supernet("ew-ed-22x", mel_bins=64, labels=len(LABELS))
    round_to_half(net)
    norms = recalibrate(net, log_mel(2, 16, seed=1, mel_bins=64), list(net.space.subnets())[::9])
    fake_run(folder)
    save_weights(folder, net, norms)
    return net, norms, edit(folder)


def test_weights_and_norms_round_trip(tmp_path: Path) -> None:
    """What was rounded to float16 comes back to the bit, statistics come back in full, and so do the scores."""
    net, norms, run = make(tmp_path)
    loaded, loaded_norms = load_weights(run)
    assert not loaded.training
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in loaded.state_dict().items())
    assert set(loaded_norms.moments) == set(norms.moments)
    for path, moments in norms.moments.items():
        assert all(torch.equal(one, other) for one, other in zip(loaded_norms.at(path), moments, strict=True))
    frames, subnet = log_mel(2, 16, seed=2, mel_bins=64), net.space.smallest
    with torch.no_grad():
        assert torch.equal(loaded(frames, subnet, loaded_norms), net(frames, subnet, norms))


def test_norms_of_searched_subnets_come_with_the_others(tmp_path: Path) -> None:
    """Those of the subnets that have a line; the Run's own stay, and what belongs to no line is left out."""
    net, norms, run = make(tmp_path)
    frames, every = log_mel(2, 16, seed=1, mel_bins=64), list(net.space.subnets())
    known, (new, other) = every[::9], every[1:3]
    results = [run.results[subnet.id] for subnet in known]
    write_results(tmp_path / SUBNETS, results)
    changed = {path: (mean + 1, variance) for path, (mean, variance) in norms.moments.items()}
    save_moments(tmp_path / SEARCHED_NORMS, {**recalibrate(net, frames, [new, other]).moments, **changed})
    write_searched(run, [run.results[new.id]])
    loaded = load_weights(Run.open(tmp_path))[1]
    for subnet in (*known, new):
        for path, moments in recalibrate(net, frames, [subnet]).moments.items():
            torch.testing.assert_close(loaded.at(path), moments, atol=1e-5, rtol=1e-5)
    assert set(loaded.moments) == set(norms.moments) | {step.path for step in steps(new)}
    with pytest.raises(UserError, match=f"no batch-norm statistics for '{other.id}'"):
        loaded.at(other.id)


def test_norms_that_are_half_there_are_told(tmp_path: Path) -> None:
    """A mean without its variance is a damaged file."""
    save_file({"input:mean": torch.zeros(3)}, tmp_path / NORMS)
    with pytest.raises(UserError, match=r"is damaged \('input:variance' is missing\)"):
        load_moments(tmp_path / NORMS)


def test_weights_are_stored_in_half_precision(tmp_path: Path) -> None:
    """The file takes two bytes a parameter, so rounding the network first is what makes the two equal."""
    net, _, run = make(tmp_path)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert 2 * count < (tmp_path / WEIGHTS).stat().st_size < 2 * count + 4096
    fine = supernet("ew-ed-22x", mel_bins=64, labels=len(LABELS))
    assert not torch.equal(fine.hidden.weight, net.hidden.weight)
    assert torch.equal(fine.hidden.weight.half().float(), load_weights(run)[0].hidden.weight)


@settings(max_examples=10)
@given(data=st.data(), name=st.sampled_from((WEIGHTS, NORMS)))
def test_a_changed_byte_is_found(data: st.DataObject, name: str) -> None:
    """Wherever a byte of either file changes, the Run is refused with the file's name."""
    with tempfile.TemporaryDirectory() as place:
        run = make(Path(place))[2]
        content = bytearray((run.folder / name).read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        (run.folder / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name} is damaged"):
            load_weights(run)


@pytest.mark.parametrize("name", [WEIGHTS, NORMS])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """A Run without one of the files does not open."""
    folder = make(tmp_path)[2].folder
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        load_weights(Run.open(folder))


@pytest.mark.parametrize("name", [WEIGHTS, NORMS])
@pytest.mark.parametrize("content", [b"", b"no tensors at all", b"\xff" * 64])
def test_what_is_no_tensor_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that was never whole is refused even where the manifest was made for it."""
    folder = make(tmp_path)[2].folder
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} is damaged"):
        load_weights(edit(folder))


@pytest.mark.parametrize(
    ("changes", "tensor"),
    [
        ({"space": preset_space("ew-ed-22x", 16)}, r"blocks\.0\.0\."),
        ({"labels": MORE, "decisions": tuple(map(label_decision, MORE))}, r"head\.bias"),
        ({"front_end": FrontEndSpec(mel_bins=32)}, "input_norm_bias"),
    ],
)
def test_weights_of_another_network_are_a_mismatch(tmp_path: Path, changes: dict[str, object], tensor: str) -> None:
    """Weights of another space, label list or front end are refused; the error names a tensor and both shapes."""
    folder = make(tmp_path)[2].folder
    with pytest.raises(MismatchError, match=rf"another network: {tensor}.* has shape .*, expected "):
        load_weights(edit(folder, **changes))


def test_a_tensor_too_many_is_a_mismatch(tmp_path: Path) -> None:
    """Tensors that the space has no place for are not left out silently."""
    folder = make(tmp_path)[2].folder
    save_file(load_file(folder / WEIGHTS) | {"another": torch.zeros(3)}, folder / WEIGHTS)
    with pytest.raises(MismatchError, match="another has shape"):
        load_weights(edit(folder))


def test_a_full_disk_leaves_the_old_files(tmp_path: Path) -> None:
    """When writing fails, the old files stay as they were and no other file stands beside them."""
    net, norms, run = make(tmp_path)
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    with files_end_at(100_000), pytest.raises(OSError, match="File too large"):
        save_weights(run.folder, net, norms)
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before
