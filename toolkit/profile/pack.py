"""Making a LayerPack: every layer of a space lowered to a file of its own, once, and kept by its content.

Activation ranges of int8 files are invented: timing does not depend on the values.
Reaches the converters only when a pack is missing. Proved by tests/profile/test_pack.py.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.specs.errors import UserError
from toolkit.specs.files import new_folder, sha256
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.pack import PACK, LayerPack, PackedFile, PackedLayer, PackedSubnet
from toolkit.specs.run import RunManifest
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.space import Subnet

if TYPE_CHECKING:
    from toolkit.lower.piece import Piece, Quantization
    from toolkit.supernet.layers import LayerModule

Report = Callable[[str, int, int], None]
"""Told what is being done, how many of it are done, and of how many."""
LIBRARIES: dict[Runtime, tuple[str, ...]] = {
    "tflite": ("ai-edge-litert", "ai-edge-quantizer", "litert-torch", "torch"),
    "executorch": ("executorch", "torch", "torchao"),
    "onnx": ("onnx", "onnxscript", "torch", "torchao"),
    "coreml": ("coremltools", "torch", "torchao"),
}
_SOURCES = ("frontend", "lower", "supernet")
_RANGE = (-4.0, 4.0)
_MASK_RANGE = (0.0, 1.0)
_TOGETHER = 17
"""Layers lowered at a time: few enough that progress is seen, many enough that it is quick."""


def ensure_pack(
    run: RunManifest,
    layers: Sequence[Layer],
    runtime: Runtime,
    precision: Precision,
    mode: Mode,
    folder: Path,
    report: Report,
    wholes: Sequence[Subnet] = (),
) -> Path:
    """The pack's own folder below `folder`; made when it is not there yet.

    Args:
        run: whose space, front end and labels the layers are of.
        layers: that get a file, all in `mode`.
        wholes: subnets that get a file each too.

    Raises:
        UserError: the converter is not installed, or the runtime has no such precision.
    """
    made_with = _made_with(runtime)
    content = {
        "layers": [layer.model_dump(mode="json") for layer in layers],
        "wholes": [subnet.id for subnet in wholes],
        "space": run.space.model_dump(mode="json"),
        "labels": len(run.labels),
        "front_end": run.front_end.fingerprint,
        "made_with": made_with,
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{runtime}-{precision}-{mode}-{digest}"
    if path.exists():
        return path
    from toolkit.lower.formats import FORMATS, lower_many
    from toolkit.supernet.layers import overhead_module

    with new_folder(path) as temporary:

        def kept(name: str, model: bytes) -> PackedFile:
            file = f"{name}{FORMATS[runtime].suffix}"
            (temporary / file).write_bytes(model)
            return PackedFile(file=file, sha256=sha256(temporary / file))

        (least,) = lower_many(runtime, [_piece(overhead_module())], FORMATS[runtime].precisions[0])
        overhead = kept("overhead", least)
        entries = []
        for number, (layer, model) in enumerate(_lowered(layers, run, runtime, precision, report)):
            file = kept(f"{number:03d}-{layer.name}", model)
            entries.append(PackedLayer(layer=layer, **file.model_dump()))
        networks = []
        for number, subnet in enumerate(wholes):
            report(f"converting whole networks to {runtime} {precision}", number, len(wholes))
            (model,) = lower_many(runtime, [_whole_piece(subnet, run, mode)], precision)
            networks.append(PackedSubnet(subnet=subnet.id, **kept(f"whole-{subnet.id}", model).model_dump()))
        LayerPack(
            runtime=runtime,
            precision=precision,
            mode=mode,
            space=run.space,
            front_end=run.front_end,
            label_count=len(run.labels),
            made_with=made_with,
            overhead=overhead,
            layers=tuple(entries),
            wholes=tuple(networks),
        ).save(temporary / PACK)
    return path


def _lowered(
    layers: Sequence[Layer], run: RunManifest, runtime: Runtime, precision: Precision, report: Report
) -> Iterator[tuple[Layer, bytes]]:
    from toolkit.lower.formats import lower_many

    what = f"converting layers to {runtime} {precision}"
    done = 0
    for begin in range(0, len(layers), _TOGETHER):
        group = layers[begin : begin + _TOGETHER]
        pieces = [layer_piece(layer, run, runtime) for layer in group]
        for layer, model in zip(group, lower_many(runtime, pieces, precision), strict=True):
            report(what, done, len(layers))
            done += 1
            yield layer, model
    report(what, done, len(layers))


def layer_piece(layer: Layer, run: RunManifest, runtime: Runtime) -> tuple[Piece, Quantization]:
    """What is lowered of one layer, as `export` lowers it inside a network."""
    from toolkit.supernet.layers import layer_module

    head = (layer.channels_in, layer.channels_out) == (run.space.hidden_units, len(run.labels))
    made = layer_module(layer, run.front_end, head=head)
    # ExecuTorch's streams join their borders in float and in torch's own layout, so their layers meet so.
    return _piece(made._replace(edges=()) if (runtime, layer.mode) == ("executorch", "stream") else made)


def _whole_piece(subnet: Subnet, run: RunManifest, mode: Mode) -> tuple[Piece, Quantization]:
    from toolkit.supernet.chain import chain_module

    return _piece(chain_module(run.space.layers(subnet, run.front_end, len(run.labels), mode), run.front_end))


def _piece(made: LayerModule) -> tuple[Piece, Quantization]:
    from toolkit.lower.piece import Piece, Quantization
    from toolkit.supernet.layers import MASK

    ranges = {name: _MASK_RANGE if name.startswith(MASK) else _RANGE for name in made.quantized}
    return (
        Piece(made.module, tuple(made.inputs.values()), tuple(made.inputs), made.outputs, made.taps, made.edges),
        Quantization(ranges, made.float_after),
    )


def _made_with(runtime: Runtime) -> dict[str, str]:
    """Versions of the libraries and a digest of the toolkit's own sources that decide what is in a file."""
    try:
        versions = {name: metadata.version(name) for name in LIBRARIES[runtime]}
    except metadata.PackageNotFoundError as error:
        raise UserError(
            f"making a layer pack needs {error.name}. Install it with: pip install 'aec-toolkit[export]'"
        ) from error
    package = Path(__file__).parent.parent
    sources = hashlib.sha256()
    rooms = itertools.chain.from_iterable((package / room).glob("*.py") for room in _SOURCES)
    for path in (Path(__file__), *sorted(rooms)):
        sources.update(path.read_bytes())
    return versions | {"toolkit": sources.hexdigest()[:16]}
