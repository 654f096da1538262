"""Packs of real files: every layer alone, with the operators and the edges that it has inside a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.lower.formats import FORMATS
from toolkit.profile.context import whole_subnets
from toolkit.profile.counts import file_bytes
from toolkit.profile.pack import LIBRARIES, ensure_pack
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.pack import PACK, LayerPack, PackedLayer, open_pack
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.runtime import Precision, Runtime

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

    folder = ensure_pack(run, layers_of(run), "tflite", precision, "stream", packs, refuse, whole_subnets(run.space))
    return folder, {packed.layer: packed for packed in open_pack(folder).layers}


def layers_of(run: RunManifest, mode: Mode = "stream") -> tuple[Layer, ...]:
    """Rows of its tables."""
    return run.space.all_layers(run.front_end, len(run.labels), mode)


def small_pack(
    run: RunManifest, runtime: Runtime, precision: Precision, mode: Mode, folder: Path, wanted: tuple[int, ...]
) -> tuple[Path, LayerPack]:
    """A new pack of some of the layers."""
    layers = [layers_of(run, mode)[index] for index in wanted]
    path = ensure_pack(run, layers, runtime, precision, mode, folder, lambda *_: None)
    return path, open_pack(path)


def method(path: Path) -> Any:
    """An ExecuTorch file, ready to run."""
    from executorch.runtime import Runtime as ExecuTorch

    return ExecuTorch.get().load_program(path).load_method("forward")


def interpreter(folder: Path, packed: PackedLayer) -> Any:
    """The file, ready to run."""
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(str(folder / packed.file), num_threads=1)
    model.allocate_tensors()
    return model


def test_a_pack_has_one_file_for_each_layer_and_is_made_once(run: RunManifest, packs: Path) -> None:
    """Asking again converts nothing; beside the layers stand what any inference costs and a few whole networks."""
    for precision in ("int8", "fp32"):
        folder, packed = pack_of(run, packs, precision)
        assert tuple(packed) == layers_of(run)
        files = {"overhead.tflite", *(entry.file for entry in packed.values())}
        files |= {f"whole-{subnet.id}.tflite" for subnet in whole_subnets(run.space)}
        assert {path.name for path in folder.glob("*.tflite")} == files


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
        int8 = {name for name, dtype in types.items() if dtype == np.int8}
        if layer.operator in ("conv2d", "avg_pool2d"):
            assert int8 == ({"y"} if layer.channels_in == 1 else {"x", "y"}), layer.name
        else:  # a stream's time pooling is float, and so is what goes to the linear layers
            assert int8 == ({"x"} if layer.operator == "global_pool" else set()), layer.name


def test_the_last_layer_is_float_and_makes_scores(run: RunManifest, packs: Path) -> None:
    """As in a bundle; the linear layer before it is int8 inside."""
    folder, packed = pack_of(run, packs, "int8")
    hidden, head = (entry for layer, entry in packed.items() if layer.operator == "linear")
    weights = {
        entry.file: {str(each["dtype"]) for each in interpreter(folder, entry).get_tensor_details()}
        for entry in (hidden, head)
    }
    assert weights[head.file] == {str(np.float32)}
    assert str(np.int8) in weights[hidden.file]
    model = interpreter(folder, head)
    (hidden_units,) = model.get_input_details()
    model.set_tensor(hidden_units["index"], np.ones(hidden_units["shape"], np.float32))
    model.invoke()
    (scores,) = (model.get_tensor(each["index"]) for each in model.get_output_details())
    assert ((scores > 0) & (scores < 1)).all()


def test_a_streaming_convolution_joins_its_border_and_hands_on_the_next(run: RunManifest, packs: Path) -> None:
    """The file computes what the layer is: a change in the border changes the first frame, the last two go on."""
    folder, packed = pack_of(run, packs, "fp32")
    layer = next(layer for layer in packed if layer.operator == "conv2d" and layer.channels_in == layer.channels_out)
    model = interpreter(folder, packed[layer])
    index = {detail["name"]: detail["index"] for detail in (*model.get_input_details(), *model.get_output_details())}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, layer.frames, layer.bins, layer.channels_in)).astype(np.float32)
    model.set_tensor(index["x"], x)
    model.set_tensor(index["frames_seen"], np.full(1, 960, np.float32))
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


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [(runtime, each) for runtime in ("tflite", "executorch", "onnx") for each in FORMATS[runtime].precisions],
)
def test_a_pack_is_made_in_every_format(
    run: RunManifest, tmp_path: Path, runtime: Runtime, precision: Precision
) -> None:
    """A streaming convolution and the last layer, and the files are larger the wider their numbers are."""
    folder, pack = small_pack(run, runtime, precision, "stream", tmp_path, (5, -1))
    assert (pack.runtime, pack.precision, pack.mode) == (runtime, precision, "stream")
    assert set(pack.made_with) == {"toolkit", *LIBRARIES[runtime]}
    for packed in pack.files:
        assert packed.file.endswith(FORMATS[runtime].suffix)
        assert (folder / packed.file).stat().st_size > 0


def test_executorchs_int8_layers_meet_as_inside_a_clip(run: RunManifest, tmp_path: Path) -> None:
    """One delegate a layer takes int8 maps, channels last, and gives such."""
    import torch

    folder, pack = small_pack(run, "executorch", "int8", "clip", tmp_path, (3, 4))
    for packed in pack.layers:
        shape = (1, packed.layer.channels_in, packed.layer.frames, packed.layer.bins)
        layer = method(folder / packed.file)
        given = torch.randint(-100, 100, shape, dtype=torch.int8).contiguous(memory_format=torch.channels_last)
        (made,) = layer.execute([given])
        assert made.dtype == torch.int8, packed.layer.name
        assert made.is_contiguous(memory_format=torch.channels_last), packed.layer.name
        assert made.shape[1] == packed.layer.channels_out


def test_a_pack_knows_all_that_a_board_does_not(run: RunManifest, packs: Path) -> None:
    """Space, front end and labels of the table, without the Run."""
    folder, _ = pack_of(run, packs, "int8")
    pack = open_pack(folder)
    assert (pack.space, pack.front_end, pack.label_count) == (run.space, run.front_end, len(run.labels))


def test_a_whole_network_stands_beside_its_layers(run: RunManifest, tmp_path: Path) -> None:
    """Asked for, it is a file like any other, with the state of all its layers and scores as its result."""
    layers, largest = layers_of(run)[-1:], run.space.largest
    folder = ensure_pack(run, layers, "tflite", "int8", "stream", tmp_path, lambda *_: None, [largest])
    assert ensure_pack(run, layers, "tflite", "int8", "stream", tmp_path, lambda *_: None) != folder
    (whole,) = open_pack(folder).wholes
    assert whole.subnet == largest.id
    model = interpreter(folder, PackedLayer(layer=layers[0], file=whole.file, sha256=whole.sha256))
    details = model.get_input_details()
    convolutions = sum(len(block) for block in largest.blocks) + 2
    assert sum(each["name"].startswith("border") for each in details) == convolutions
    scores = model.get_signature_runner()(**{each["name"]: np.zeros(each["shape"], np.float32) for each in details})[
        "y"
    ]
    assert scores.shape == (1, len(run.labels))
    assert ((scores > 0) & (scores < 1)).all()


def test_a_runtime_without_the_precision_is_one_clear_error(run: RunManifest, tmp_path: Path) -> None:
    """And leaves no pack behind."""
    with pytest.raises(UserError, match="executorch files are not made in fp16; expected fp32"):
        small_pack(run, "executorch", "fp16", "clip", tmp_path, (0,))
    assert not list(tmp_path.iterdir())


def test_a_damaged_pack_is_refused(run: RunManifest, packs: Path, tmp_path: Path) -> None:
    """A file that is not the one that was made is named, with the remedy."""
    folder, packed = pack_of(run, packs, "int8")
    copy = tmp_path / folder.name
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    for name in (next(iter(packed.values())).file, "overhead.tflite"):
        victim = copy / name
        whole = victim.read_bytes()
        for damaged in (whole[:-1], bytes([*whole[:40], whole[40] ^ 1, *whole[41:]])):
            victim.write_bytes(damaged)
            with pytest.raises(UserError, match=f"{victim.name} is missing or damaged. Delete .* make the pack again"):
                open_pack(copy)
        victim.write_bytes(whole)
    open_pack(copy)
    with pytest.raises(UserError, match="holds no layer pack"):
        open_pack(tmp_path)


def test_a_pack_of_another_space_or_schema_is_refused(run: RunManifest, packs: Path, tmp_path: Path) -> None:
    """A layer that its space has not would make a row that no subnet asks for."""
    folder, packed = pack_of(run, packs, "int8")
    pack = open_pack(folder)
    stranger = next(iter(packed)).model_copy(update={"frames": 95})
    entry = pack.layers[0].model_copy(update={"layer": stranger})
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pack.model_copy(update={"layers": (entry, *pack.layers[1:])}).save(tmp_path / PACK)
    with pytest.raises(UserError, match=f"holds {stranger.name}, which is no layer of its space tiny"):
        open_pack(tmp_path)
    pack.model_copy(update={"schema_version": 1}).save(tmp_path / PACK)
    with pytest.raises(MismatchError, match="reads LayerPack schema 2"):
        open_pack(tmp_path)
