"""A torch module becomes a zipped Core ML package. What can be seen of it anywhere; only Apple's systems run it."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import coremltools
import pytest
from coremltools.proto import FeatureTypes_pb2, MIL_pb2

from tests.lower.conftest import STREAM_RANGES, Made, Which
from tests.lower.toys import streaming_piece
from toolkit.lower.formats import FORMATS, lower
from toolkit.lower.piece import Quantization
from toolkit.specs.runtime import Precision

PRECISIONS = FORMATS["coreml"].precisions
FLOAT16, FLOAT32 = FeatureTypes_pb2.ArrayFeatureType.FLOAT16, FeatureTypes_pb2.ArrayFeatureType.FLOAT32
LAYERS = {(8, 1, 3, 3), (12, 8, 3, 3), (10, 12), (5, 10)}
MATRICES = {(64, 16)}
Open = Callable[[Precision, Which], Path]


@pytest.fixture
def package(made: Made, tmp_path: Path) -> Open:
    """The folder of an unzipped package."""

    def unzipped(precision: Precision, which: Which) -> Path:
        with zipfile.ZipFile(io.BytesIO(made("coreml", precision, which))) as archive:
            archive.extractall(tmp_path)
        (folder,) = tmp_path.iterdir()
        return folder

    return unzipped


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_is_one_package_of_what_its_manifest_lists(package: Open, precision: Precision) -> None:
    """Xcode takes the folder; nothing else lies in it."""
    folder = package(precision, "toy")
    assert folder.suffix == ".mlpackage"
    manifest = json.loads((folder / "Manifest.json").read_text())
    listed = {PurePosixPath("Data", entry["path"]) for entry in manifest["itemInfoEntries"].values()}
    held = {PurePosixPath(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert manifest["rootModelIdentifier"] in manifest["itemInfoEntries"]
    assert all(path in listed or path.parent in listed for path in held - {PurePosixPath("Manifest.json")})
    assert all((folder / path).exists() for path in listed)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_is_an_ml_program_for_ios_17_with_the_pieces_names(package: Open, precision: Precision) -> None:
    """Inputs and outputs in the piece's order, shapes as in torch, float32."""
    spec = _spec(package(precision, "stream8"))
    assert spec.specificationVersion == coremltools.target.iOS17
    assert spec.WhichOneof("Type") == "mlProgram"
    assert [_described(entry) for entry in (*spec.description.input, *spec.description.output)] == [
        ("chunk", FLOAT32, (1, 3, 8, 6)),
        ("a_state", FLOAT32, (1, 3, 2, 6)),
        ("out", FLOAT32, (1, 5, 8, 6)),
        ("next_state", FLOAT32, (1, 3, 2, 6)),
    ]


def test_fp16_weights_are_float16(package: Open) -> None:
    """All of them, the front end's too, and no int8 anywhere."""
    operations = _operations(package("fp16", "toy"))
    assert _constants(operations, "const", MIL_pb2.FLOAT16) >= LAYERS | MATRICES
    assert not [name for name in _names(operations) if "quantize" in name]


@pytest.mark.parametrize("precision", ["int8", "int8-weights"])
def test_int8_weights_are_the_layers_and_not_the_front_ends(package: Open, precision: Precision) -> None:
    """However small a layer is; each channel has a scale of its own."""
    operations = _operations(package(precision, "toy"))
    quantized = [operation for operation in operations if operation.type == "constexpr_affine_dequantize"]
    assert _constants(quantized, "constexpr_affine_dequantize", MIL_pb2.FLOAT16) == LAYERS
    assert _constants(operations, "const", MIL_pb2.FLOAT16) & (LAYERS | MATRICES) == MATRICES
    for operation in quantized:
        data, scale = (operation.attributes[name].type.tensorType for name in ("quantized_data", "scale"))
        assert data.dataType == MIL_pb2.INT8
        assert _shape(scale) == _shape(data)[:1]


def test_int8_activations_stand_in_pairs(package: Open) -> None:
    """What a layer takes and makes is quantized and dequantized, seven times; weights alone need none."""
    names = _names(_operations(package("int8", "toy")))
    assert names["quantize"] == names["dequantize"] == 7


def test_weights_alone_need_no_scales_of_activations(package: Open) -> None:
    """Their arithmetic is float16's."""
    names = _names(_operations(package("int8-weights", "toy")))
    assert names["quantize"] == names["dequantize"] == 0


def test_the_day_and_the_machine_leave_no_trace(made: Made) -> None:
    """A package made tomorrow is the same, to the byte; `test_formats.py` compares two processes."""
    with zipfile.ZipFile(io.BytesIO(made("coreml", "int8", "toy"))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert not [name for name in archive.namelist() if b"conversion_date" in archive.read(name)]


def test_nothing_is_printed_while_converting(capfd: pytest.CaptureFixture[str]) -> None:
    """No progress bars, no notes on untested versions, from Python or below it."""
    assert list(lower("coreml", streaming_piece(8), ["int8-weights"], Quantization(STREAM_RANGES)))
    assert capfd.readouterr() == ("", "")


def _spec(folder: Path) -> Any:
    return coremltools.models.MLModel(str(folder), skip_model_load=True).get_spec()


def _operations(folder: Path) -> list[Any]:
    (function,) = _spec(folder).mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    return list(block.operations)


def _names(operations: list[Any]) -> Counter[str]:
    return Counter(operation.type for operation in operations)


def _constants(operations: list[Any], kind: str, data_type: int) -> set[tuple[int, ...]]:
    """Shapes of the constants of a kind and type."""
    held = [operation.outputs[0].type.tensorType for operation in operations if operation.type == kind]
    return {_shape(tensor) for tensor in held if tensor.dataType == data_type}


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(dimension.constant.size for dimension in tensor.dimensions)


def _described(entry: Any) -> tuple[str, int, tuple[int, ...]]:
    held = entry.type.multiArrayType
    return entry.name, held.dataType, tuple(held.shape)
