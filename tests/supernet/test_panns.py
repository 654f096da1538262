"""PANNs' public checkpoint of CNN10 loads by its names and shapes and computes what PANNs' network computes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from tests.supernet.built import log_mel
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.space import PAPER_PRESETS
from toolkit.supernet.panns import PANNS_LABELS, load_panns
from toolkit.supernet.supernet import Supernet

EXTRA = {
    "spectrogram_extractor.stft.conv_real.weight": (513, 1, 1024),
    "spectrogram_extractor.stft.conv_imag.weight": (513, 1, 1024),
    "logmel_extractor.melW": (513, 64),
}
"""What a real file holds besides the network: the front end's constants."""


class Block(nn.Module):
    """Two convolutions with batch norm and ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels_out), nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """Before the pooling."""
        return functional.relu(self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))))


class Cnn10(nn.Module):
    """PANNs' network from log-mel on: each block, the last one too, is followed by 2x2 average pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(64)
        self.conv_block1, self.conv_block2 = Block(1, 64), Block(64, 128)
        self.conv_block3, self.conv_block4 = Block(128, 256), Block(256, 512)
        self.fc1, self.fc_audioset = nn.Linear(512, 512), nn.Linear(512, 527)

    def forward(self, x: Tensor, *, last_pooling: bool = True) -> Tensor:
        """Logits [B, 527] of log-mel [B, 1, T, 64]."""
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        for block in (self.conv_block1, self.conv_block2, self.conv_block3):
            x = functional.avg_pool2d(block(x), 2)
        x = self.conv_block4(x)
        x = functional.avg_pool2d(x, 2) if last_pooling else x
        x = x.mean(3)
        logits: Tensor = self.fc_audioset(functional.relu(self.fc1(x.max(2).values + x.mean(2))))
        return logits


@pytest.fixture(scope="module")
def cnn10() -> Cnn10:
    """PANNs' network with random weights and running statistics, in evaluation mode."""
    torch.manual_seed(2)
    net = Cnn10().eval().requires_grad_(requires_grad=False)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.1, 0.4)
    assert net.bn0.running_mean is not None
    assert net.bn0.running_var is not None
    net.bn0.running_mean -= 50
    net.bn0.running_var += 100
    return net


@pytest.fixture(scope="module")
def tensors(cnn10: Cnn10) -> dict[str, Tensor]:
    """All tensors of a file as PANNs' training writes it."""
    return dict(cnn10.state_dict()) | {name: torch.zeros(shape) for name, shape in EXTRA.items()}


@pytest.fixture(scope="module")
def checkpoint(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as PANNs' training writes it."""
    path = tmp_path_factory.mktemp("panns") / "Cnn10.pth"
    torch.save({"iteration": 600_000, "model": tensors}, path)
    return path


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_it_computes_what_panns_computes(cnn10: Cnn10, checkpoint: Path, name: str) -> None:
    """The loaded network's logits equal PANNs' to 1e-4, whatever space it stands in, on any number of frames."""
    net, subnet, norms = load_panns(checkpoint, name)
    assert subnet == net.space.largest
    for frames in (16, 71):
        x = log_mel(2, frames, seed=frames, mel_bins=64)
        with torch.no_grad():
            found = net(x, subnet, norms)
        assert found.std() > 0.1
        assert_close(found, cnn10(x), atol=1e-4, rtol=1e-4)


def test_its_weights_fit_a_supernet(cnn10: Cnn10, checkpoint: Path) -> None:
    """A full network takes the weights; it pools between blocks only, as the paper's does."""
    net, subnet, norms = load_panns(checkpoint)
    full = Supernet(net.space, PANNS_LABELS).eval()
    full.load_state_dict(net.state_dict())
    x = log_mel(1, 40, seed=1, mel_bins=64)
    with torch.no_grad():
        assert_close(full(x, subnet, norms), cnn10(x, last_pooling=False), atol=1e-4, rtol=1e-4)


def test_bare_and_old_files_load(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """Tensors without the outer names, in the file format of the years before 2020, load as well."""
    path = tmp_path / "old.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    net, _, norms = load_panns(path)
    assert torch.equal(net.hidden.weight, tensors["fc1.weight"])
    assert torch.equal(norms.at("input")[0], tensors["bn0.running_mean"])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("bn0.weight", None),
        ("bn0.running_var", None),
        ("conv_block1.conv1.weight", (64, 1, 5, 5)),
        ("conv_block4.conv2.weight", None),
        ("conv_block3.bn2.running_mean", (128,)),
        ("fc1.weight", (2048, 2048)),
        ("fc_audioset.bias", (50,)),
    ],
)
def test_another_network_is_refused(
    tensors: dict[str, Tensor], tmp_path: Path, name: str, shape: tuple[int, ...] | None
) -> None:
    """The first tensor that is missing or has another shape is named with the shape that was expected."""
    changed = dict(tensors)
    expected = tuple(changed.pop(name).shape)
    if shape:
        changed[name] = torch.zeros(shape)
    path = tmp_path / "other.pth"
    torch.save({"model": changed}, path)
    with pytest.raises(MismatchError) as refused:
        load_panns(path)
    assert f"{name} has shape {shape}, expected {expected}" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [5, [1, 2], {"model": 5}, {"model": [1]}, {}, {"bn0.weight": "text"}])
def test_tensors_of_nothing_known_are_refused(tmp_path: Path, content: Any) -> None:
    """A file that holds something else altogether is no CNN10 either."""
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(MismatchError, match=r"not PANNs' CNN10: bn0\.weight has shape None"):
        load_panns(path)


class Intruder:
    """What a pickle runs when it is read without care."""

    def __init__(self, victim: str) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.victim,)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_never_run(tmp_path: Path, zipped: bool) -> None:
    """A file that would run a program when it is unpickled is refused in one line, and nothing runs."""
    path, victim = tmp_path / "evil.pth", tmp_path / "victim"
    torch.save({"model": Intruder(str(victim))}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"holds code, which is never run[^\n]*\Z"):
        load_panns(path)
    assert not victim.exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"hello\nworld", b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """An empty file, text, and the beginning of an archive are each told in one line."""
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"file\.pth is not a checkpoint of plain tensors[^\n]*\Z"):
        load_panns(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    """The path and the reason are named."""
    with pytest.raises(UserError, match=r"none\.pth: No such file"):
        load_panns(tmp_path / "none.pth")
    with pytest.raises(UserError, match="cannot read checkpoint"):
        load_panns(tmp_path)


@settings(max_examples=150)
@given(data=st.data(), zipped=st.booleans())
def test_any_damage_is_one_clear_error(data: st.DataObject, zipped: bool) -> None:
    """A file cut off or changed anywhere ends in one line, never in a traceback of torch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "part.pth")
        torch.save({"model": {"bn0.weight": torch.ones(64)}}, path, _use_new_zipfile_serialization=zipped)
        content = bytearray(path.read_bytes())
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        with pytest.raises(UserError, match=r"\A[^\n]*part\.pth[^\n]*\Z"):
            load_panns(path)
