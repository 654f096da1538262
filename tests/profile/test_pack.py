"""Packs of real files: every layer alone, with the operators and the edges that it has inside a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.profile.counts import file_bytes
from toolkit.profile.pack import ensure_pack
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Layer
from toolkit.specs.pack import PackedLayer, open_pack
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.runtime import Precision

STRUCTURE_BYTES = 10_000
"""What a file of one layer holds beside constants: shapes, names, operators; most in the front end."""


@pytest.fixture
def run(tiny_run: Path) -> RunManifest:
    """The tiny Run."""
    return Run.open(tiny_run).manifest


def pack_of(run: RunManifest, packs: Path, precision: Precision) -> tuple[Path, dict[Layer, PackedLayer]]:
    """The pack that is there already, and its files by layer."""

    def refuse(what: str, done: int, total: int) -> None:
        raise AssertionError(f"{what} again: {done} of {total}")

    folder = ensure_pack(layers_of(run), precision, "stream", run.front_end, packs, refuse)
    return folder, {packed.layer: packed for packed in open_pack(folder).layers}


def layers_of(run: RunManifest) -> tuple[Layer, ...]:
    """Rows of its stream tables."""
    return run.space.all_layers(run.front_end, len(run.labels), "stream")


def interpreter(folder: Path, packed: PackedLayer) -> Any:
    """The file, ready to run."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(folder / packed.file), num_threads=1)
    model.allocate_tensors()
    return model


def test_a_pack_has_one_file_for_each_layer_and_is_made_once(run: RunManifest, packs: Path) -> None:
    """Asking again converts nothing; the float pack that int8 is made from is kept too."""
    for precision in ("int8", "fp32"):
        folder, packed = pack_of(run, packs, precision)
        assert tuple(packed) == layers_of(run)
        assert {path.name for path in folder.glob("*.tflite")} == {entry.file for entry in packed.values()}


def test_every_file_runs_and_its_output_feeds_the_next_layer(run: RunManifest, packs: Path) -> None:
    """From samples to label scores, each layer's `y` has the shape of the next one's `x`, in both precisions."""
    for precision in ("int8", "fp32"):
        folder, packed = pack_of(run, packs, precision)
        leaving: Any = None
        for layer in run.space.layers(run.space.largest, run.front_end, len(run.labels), "stream"):
            model = interpreter(folder, packed[layer])
            model.invoke()
            inputs = {detail["name"]: detail for detail in model.get_input_details()}
            outputs = {detail["name"]: detail for detail in model.get_output_details()}
            if leaving is not None:
                assert tuple(inputs["x"]["shape"]) == tuple(leaving["shape"]), layer.name
            leaving = outputs["y"]
        assert tuple(leaving["shape"]) == (1, len(run.labels))


def test_int8_layers_take_and_give_int8(run: RunManifest, packs: Path) -> None:
    """No layer pays for a conversion that it does not have inside the network; state stays float, as in a bundle."""
    folder, packed = pack_of(run, packs, "int8")
    for layer, entry in packed.items():
        model = interpreter(folder, entry)
        types = {
            detail["name"]: detail["dtype"] for detail in (*model.get_input_details(), *model.get_output_details())
        }
        if layer.operator in ("conv2d", "avg_pool2d", "linear"):
            assert types["x"] == types["y"] == np.int8, layer.name
        if layer.operator in ("front_end", "scale"):
            assert set(types.values()) == {np.float32}, layer.name
        assert types.get("border", np.float32) == types.get("new_border", np.float32) == np.float32


def test_a_streaming_convolution_joins_its_border_and_hands_on_the_next(run: RunManifest, packs: Path) -> None:
    """The file computes what the layer is: a change in the border changes the first frame, the last two go on."""
    folder, packed = pack_of(run, packs, "fp32")
    layer = next(layer for layer in packed if layer.operator == "conv2d" and layer.channels_in == layer.channels_out)
    model = interpreter(folder, packed[layer])
    index = {detail["name"]: detail["index"] for detail in (*model.get_input_details(), *model.get_output_details())}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, layer.frames, layer.bins, layer.channels_in)).astype(np.float32)
    model.set_tensor(index["x"], x)
    model.set_tensor(index["mask"], np.ones((layer.frames, 1, 1), np.float32))
    given = []
    for border in (np.zeros, np.ones):
        model.set_tensor(index["border"], border((1, 2, layer.bins, layer.channels_in), np.float32))
        model.invoke()
        given.append(model.get_tensor(index["y"]))
        np.testing.assert_array_equal(model.get_tensor(index["new_border"]), x[:, -2:])
    assert np.abs(given[0] - given[1])[:, :2].max() > 0
    np.testing.assert_array_equal(given[0][:, 2:], given[1][:, 2:])


def test_files_are_as_large_as_is_counted(run: RunManifest, packs: Path) -> None:
    """Counted constants are in the file, with little else."""
    for precision in ("int8", "fp32"):
        folder, packed = pack_of(run, packs, precision)
        for layer, entry in packed.items():
            counted = file_bytes(layer, precision, run.front_end)
            assert counted <= (folder / entry.file).stat().st_size <= counted + STRUCTURE_BYTES, layer.name


def test_a_damaged_pack_is_refused(run: RunManifest, packs: Path, tmp_path: Path) -> None:
    """A file that is not the one that was made is named, with the remedy."""
    folder, packed = pack_of(run, packs, "int8")
    copy = tmp_path / folder.name
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    victim = copy / next(iter(packed.values())).file
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{victim.name} is missing or damaged. Delete .* profile again"):
        open_pack(copy)
    with pytest.raises(UserError, match="holds no layer pack"):
        open_pack(tmp_path)
