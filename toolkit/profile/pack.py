"""Making a LayerPack: every layer of a space lowered to a file of its own, once, and kept by its content.

int8 files are made from the float ones, with ranges that are invented: timing does not depend on the values.
Reaches the converter only when a pack is missing. Proved by tests/profile/test_pack.py.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.specs.errors import UserError
from toolkit.specs.files import new_folder, sha256
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.pack import PACK, LayerPack, PackedLayer, open_pack
from toolkit.specs.runtime import Precision

if TYPE_CHECKING:
    from toolkit.lower.piece import Piece

Report = Callable[[str, int, int], None]
"""Told what is being done, how many of it are done, and of how many."""
LIBRARIES = ("ai-edge-litert", "ai-edge-quantizer", "litert-torch", "torch")
_SOURCES = ("frontend", "lower", "supernet")
_RANGE = (-4.0, 4.0)
_TOGETHER = 17
"""Layers lowered as one graph: few enough that progress is seen, many enough that it is quick."""


def ensure_pack(
    layers: tuple[Layer, ...],
    precision: Precision,
    mode: Mode,
    front_end: FrontEndSpec,
    folder: Path,
    report: Report,
) -> Path:
    """The pack's own folder below `folder`; made when it is not there yet.

    Raises:
        UserError: the converter is not installed, or a kept pack is damaged.
    """
    made_with = _made_with()
    content = {
        "layers": [layer.model_dump(mode="json") for layer in layers],
        "front_end": front_end.fingerprint,
        "precision": precision,
        "made_with": made_with,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"tflite-{precision}-{mode}-{digest}"
    if path.exists():
        return path
    if precision == "int8":
        floats = ensure_pack(layers, "fp32", mode, front_end, folder, report)
        stored = {packed.layer: floats / packed.file for packed in open_pack(floats).layers}
        files = _quantized(stored, front_end, report)
    else:
        files = _lowered(layers, front_end, report)
    with new_folder(path) as temporary:
        entries = []
        for number, (layer, model) in enumerate(files):
            name = f"{number:03d}-{layer.name}.tflite"
            (temporary / name).write_bytes(model)
            entries.append(PackedLayer(layer=layer, file=name, sha256=sha256(temporary / name)))
        LayerPack(
            runtime="tflite",
            precision=precision,
            mode=mode,
            front_end=front_end.fingerprint,
            made_with=made_with,
            layers=tuple(entries),
        ).save(temporary / PACK)
    return path


def _lowered(layers: tuple[Layer, ...], front_end: FrontEndSpec, report: Report) -> Iterator[tuple[Layer, bytes]]:
    from toolkit.lower.tflite import lower_tflite_many

    for begin in range(0, len(layers), _TOGETHER):
        report("converting layers", begin, len(layers))
        group = layers[begin : begin + _TOGETHER]
        yield from zip(group, lower_tflite_many([_piece(layer, front_end) for layer in group]), strict=True)
    report("converting layers", len(layers), len(layers))


def _piece(layer: Layer, front_end: FrontEndSpec) -> Piece:
    from toolkit.lower.piece import Piece
    from toolkit.supernet.layers import layer_module

    made = layer_module(layer, front_end)
    return Piece(made.module, tuple(made.inputs.values()), tuple(made.inputs), made.outputs, made.taps)


def _quantized(stored: dict[Layer, Path], front_end: FrontEndSpec, report: Report) -> Iterator[tuple[Layer, bytes]]:
    from toolkit.lower.piece import Quantization
    from toolkit.lower.tflite_edges import int8_edges
    from toolkit.lower.tflite_quantize import quantize_tflite
    from toolkit.supernet.layers import layer_module

    for number, (layer, path) in enumerate(stored.items(), start=1):
        made, model = layer_module(layer, front_end), path.read_bytes()
        if made.quantized:
            quantization = Quantization(dict.fromkeys(made.quantized, _RANGE), made.float_after)
            model = quantize_tflite(model, "int8", quantization)
            model = int8_edges(model, {"x", "y"})
        yield layer, model
        report("quantizing layers", number, len(stored))


def _made_with() -> dict[str, str]:
    """Versions of the libraries and a digest of the toolkit's own sources that decide what is in a file."""
    try:
        versions = {name: metadata.version(name) for name in LIBRARIES}
    except metadata.PackageNotFoundError as error:
        raise UserError(
            f"making a layer pack needs {error.name}. Install it with: pip install 'aec-toolkit[export]'"
        ) from error
    package = Path(__file__).parent.parent
    sources = hashlib.sha256()
    for path in sorted(itertools.chain.from_iterable((package / room).glob("*.py") for room in _SOURCES)):
        sources.update(path.read_bytes())
    return versions | {"toolkit": sources.hexdigest()[:16]}
