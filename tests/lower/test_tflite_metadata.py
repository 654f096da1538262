"""A TFLite file says which rate it hears and what its scores are called, and stays the model that it was."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as model_schema

from tests.lower.toys import TAPS, run, signals
from toolkit.lower.piece import Quantization
from toolkit.lower.tflite_metadata import metadata_schema, with_audio_metadata
from toolkit.lower.tflite_quantize import quantize_tflite
from toolkit.specs.errors import UserError
from toolkit.specs.runtime import Precision

LABELS = ("Alarm", "Dog; bark", "Türklingel", "警报", "Water\u2028tap")
RATE_HZ = 16_000
SCRIPT = """
import hashlib, sys
from pathlib import Path
from tests.lower.test_tflite_metadata import described
model = described(Path(sys.argv[1]).read_bytes())
assert not {"cv2", "matplotlib", "mediapipe"} & set(sys.modules)
print(hashlib.sha256(model).hexdigest())
"""


def described(model: bytes, labels: Sequence[str] = LABELS) -> bytes:
    """The model with metadata."""
    return with_audio_metadata(model, name="toy", description="A toy.", sample_rate_hz=RATE_HZ, labels=labels)


@pytest.fixture(scope="module")
def toys(files: Mapping[str, bytes]) -> dict[Precision, bytes]:
    """The toy in every precision of TFLite, without metadata."""
    ranges = Quantization(dict.fromkeys(TAPS, (-9.0, 9.0)))
    smaller: tuple[Precision, ...] = ("fp16", "int8", "int8-dynamic")
    return {"fp32": files["toy"], **{each: quantize_tflite(files["toy"], each, ranges) for each in smaller}}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "int8-dynamic"])
def test_the_file_scores_as_before(toys: Mapping[Precision, bytes], precision: Precision) -> None:
    """In every precision, to the bit."""
    for wave in signals():
        before, after = (run(model, wave=wave)["scores"] for model in (toys[precision], described(toys[precision])))
        np.testing.assert_array_equal(after, before)


def test_rate_channels_and_labels_can_be_read(toys: Mapping[Precision, bytes]) -> None:
    """By MediaPipe's own classes, where its sources look for them; the labels by any program that reads zips."""
    schema: Any = metadata_schema()
    file = described(toys["int8"])
    model = model_schema.Model.GetRootAs(file)
    (entry,) = [
        model.Metadata(k) for k in range(model.MetadataLength()) if model.Metadata(k).Name() == b"TFLITE_METADATA"
    ]
    buffer = model.Buffers(entry.Buffer()).DataAsNumpy().tobytes()
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(buffer, 0)
    found: Any = schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(buffer))
    (graph,) = found.subgraphMetadata
    (waveform,), (scores,) = graph.inputTensorMetadata, graph.outputTensorMetadata
    assert (found.name, waveform.name, scores.name) == (b"toy", b"wave", b"scores")
    heard = waveform.content.contentProperties
    assert (type(heard), heard.sampleRate, heard.channels) == (schema.AudioPropertiesT, RATE_HZ, 1)
    (labels,) = scores.associatedFiles
    assert labels.type == schema.AssociatedFileType.TENSOR_AXIS_LABELS
    with zipfile.ZipFile(BytesIO(file)) as archive:
        assert archive.read(labels.name.decode()).decode() == "".join(f"{label}\n" for label in LABELS)


def test_the_bytes_depend_on_the_arguments_alone(toys: Mapping[Precision, bytes], tmp_path: Path) -> None:
    """Another process at another time makes the same file, silently, and does not import all of MediaPipe for it."""
    path = tmp_path / "toy.tflite"
    path.write_bytes(toys["fp16"])
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    file = described(toys["fp16"])
    assert done.stdout.strip() == hashlib.sha256(file).hexdigest()
    with zipfile.ZipFile(BytesIO(file)) as archive:
        (entry,) = archive.infolist()
    assert entry.date_time < (2000, 1, 1)


def test_labels_must_be_one_line_for_each_score(toys: Mapping[Precision, bytes]) -> None:
    """Otherwise MediaPipe would refuse the file, or name scores wrongly."""
    with pytest.raises(ValueError, match="4 labels, but 5 scores"):
        described(toys["fp32"], LABELS[:-1])
    for label in ("two\nlines", "", "back\r"):
        with pytest.raises(ValueError, match="lines of a file"):
            described(toys["fp32"], (*LABELS[:-1], label))


def test_a_file_that_mediapipe_cannot_feed_is_refused(files: Mapping[str, bytes]) -> None:
    """One with state, and one whose input is no waveform."""
    for name, found in (("stream8", r"a_state \[1, 2, 6, 3\]"), ("pool", r"x \[1, 8, 6, 3\]")):
        with pytest.raises(ValueError, match=rf"expected one float32 waveform.*found.*{found}"):
            described(files[name])


def test_a_missing_library_names_the_extra(files: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MediaPipe is not installed the message says what to install."""
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match=r"needs mediapipe.*aec-toolkit\[export\]"):
        described(files["toy"])
