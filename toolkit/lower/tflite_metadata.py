"""What MediaPipe's audio classifier must know of a TFLite file, inside the file: the sample rate and the labels.

Not a converter, and not for files with state: MediaPipe feeds one waveform and reads one row of scores. The labels are
a zip behind the model, where TFLite runtimes do not look. Whoever reads and writes the model anew loses it, so this is
the last step. Proved by tests/lower/test_tflite_metadata.py and, in MediaPipe itself, tests/export/test_mediapipe.py.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

from toolkit.lower.converting import converting

METADATA, LABEL_FILE = "TFLITE_METADATA", "labels.txt"
_IDENTIFIER = b"M001"  # Source: mediapipe/tasks/metadata/metadata_schema.fbs, as the next line
_MIN_PARSER_VERSION = "1.3.0"  # the first that knows AudioProperties
_UNIX, _READABLE = 3, 0o644 << 16


def with_audio_metadata(
    model: bytes, *, name: str, description: str, sample_rate_hz: int, labels: Sequence[str]
) -> bytes:
    """The same model, which MediaPipe's `AudioClassifier` runs too. The same arguments give the same bytes.

    Args:
        model: of any precision; its one input is a waveform [S] or [1, S], its one output scores [1, L], float32 both.
        name: of the model, for people.
        description: what it does, in a sentence.
        sample_rate_hz: of the waveform, which has one channel.
        labels: one for each score, in their order.

    Raises:
        UserError: mediapipe, whose schema this is, or ai-edge-litert is missing.
        ValueError: the model has other inputs or outputs, or a label cannot be a line of a file.
    """
    with converting("MediaPipe", name):
        schema = metadata_schema()
        from ai_edge_litert import schema_py_generated as model_schema

        from toolkit.lower import tflite_file
    tree = tflite_file.read(model)
    waveform, scores = _ends(tree, model_schema.TensorType.FLOAT32)
    if len(labels) != scores.shape[1]:
        raise ValueError(f"{len(labels)} labels, but {scores.shape[1]} scores")
    if unfit := [label for label in labels if not label or {"\n", "\r"} & set(label)]:
        raise ValueError(f"labels must be lines of a file, found {unfit}")
    described = _described(schema, waveform, scores, name, description, sample_rate_hz)
    tree.buffers.append(model_schema.BufferT(data=described))
    entry = model_schema.MetadataT(name=METADATA.encode(), buffer=len(tree.buffers) - 1)
    tree.metadata = [*(tree.metadata or ()), entry]
    return _with_file(tflite_file.write(tree), LABEL_FILE, "".join(f"{label}\n" for label in labels))


def _ends(tree: Any, float32: int) -> tuple[Any, Any]:
    """The tensors of the waveform and of the scores."""
    graph = tree.subgraphs[0]
    inputs, outputs = ([graph.tensors[index] for index in ends] for ends in (graph.inputs, graph.outputs))
    fits = len(tree.subgraphs) == len(inputs) == len(outputs) == 1
    fits = fits and len(inputs[0].shape) in {1, 2} and len(outputs[0].shape) == 2
    if not fits or {inputs[0].type, outputs[0].type} != {float32}:
        found = ", ".join(f"{tensor.name.decode()} {list(tensor.shape)}" for tensor in (*inputs, *outputs))
        raise ValueError(f"expected one float32 waveform [1, S] and one row of float32 scores [1, L], found {found}")
    return inputs[0], outputs[0]


def _described(schema: Any, waveform: Any, scores: Any, name: str, description: str, sample_rate_hz: int) -> bytes:
    """The flatbuffer of a ModelMetadata."""
    import flatbuffers  # type: ignore[import-untyped]

    heard = schema.TensorMetadataT()
    heard.name, heard.description = waveform.name, f"One channel at {sample_rate_hz} Hz, from -1 to 1."
    heard.content = schema.ContentT()
    heard.content.contentPropertiesType = schema.ContentProperties.AudioProperties
    heard.content.contentProperties = schema.AudioPropertiesT()
    heard.content.contentProperties.sampleRate, heard.content.contentProperties.channels = sample_rate_hz, 1

    labels = schema.AssociatedFileT()
    labels.name, labels.description = LABEL_FILE, "The label of each score, a line each."
    labels.type = schema.AssociatedFileType.TENSOR_AXIS_LABELS
    said = schema.TensorMetadataT()
    said.name, said.description, said.associatedFiles = scores.name, "From 0 to 1 for each label.", [labels]
    said.content = schema.ContentT()
    said.content.contentPropertiesType = schema.ContentProperties.FeatureProperties
    said.content.contentProperties = schema.FeaturePropertiesT()

    graph = schema.SubGraphMetadataT()
    graph.inputTensorMetadata, graph.outputTensorMetadata = [heard], [said]
    model = schema.ModelMetadataT()
    model.name, model.description, model.minParserVersion = name, description, _MIN_PARSER_VERSION
    model.subgraphMetadata = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def _with_file(model: bytes, name: str, text: str) -> bytes:
    """The model with a zip behind it that holds one file as it is: MediaPipe reads no compressed ones."""
    entry = zipfile.ZipInfo(name)  # of the first moment that a zip can name
    entry.create_system, entry.external_attr = _UNIX, _READABLE  # whatever system this is
    whole = BytesIO(model)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, text.encode())
    return whole.getvalue()


def metadata_schema() -> ModuleType:
    """MediaPipe's generated classes of ModelMetadata, without the package: that imports OpenCV, which takes seconds and
    system libraries.

    Raises:
        ModuleNotFoundError: MediaPipe is not installed.
    """
    package = find_spec("mediapipe")
    places = (package and package.submodule_search_locations) or ()
    folders = [str(Path(place, "tasks", "metadata")) for place in places]
    spec = PathFinder.find_spec("metadata_schema_py_generated", folders)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("No module named 'mediapipe'", name="mediapipe")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
