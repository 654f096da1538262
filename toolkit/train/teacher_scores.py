"""What teachers say of one clip: a TFLite file, a Python function or a table gives probabilities of its classes.

Neither the classes' meaning for our labels nor any cache: that is `teachers` and `teacher_cache`.
Axis letters: S samples, C classes, N clips, W windows. Proved by tests/train/test_teacher_files.py.
"""

from __future__ import annotations

import csv
import difflib
import importlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.files import sha256

Floats = NDArray[np.float32]
ROUNDING = 1e-4
"""By so much a probability may miss 0..1."""
CLIP_COLUMN = "clip"
ScoreClip = Callable[[str, Any], Floats]
"""From a clip's name and sound to a probability for each class [C]."""


class TFLiteScores:
    """A TFLite file that hears windows of one length: float32 samples in, a probability for each class out.

    Args:
        path: the file; of its outputs that one counts which has as many values as there are classes.
        classes: what the values mean, in order.

    Raises:
        UserError: no runtime is installed, or it cannot run the file.
        MismatchError: the file does not take samples, or has other classes.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self.classes, self._path = classes, path
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UserError(f"this teacher needs {error.name}. Install it: pip install 'aec-toolkit[device]'") from None
        if not path.is_file():
            raise UserError(f"{path} does not exist. Mend teacher.file in the recipe; it counts from this folder.")
        try:
            self._net = Interpreter(model_path=str(path), num_threads=torch.get_num_threads())
            self._net.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path} is no TFLite file that can be run: {str(error).partition(chr(10))[0]}") from error
        inputs, outputs = self._net.get_input_details(), self._net.get_output_details()
        shape = inputs[0]["shape_signature"]
        if len(inputs) != 1 or inputs[0]["dtype"] is not np.float32 or not 1 < shape.max(initial=0) == shape.prod():
            raise MismatchError(f"{path} takes {_shapes(inputs)}, expected one row of float32 samples of fixed length.")
        fitting = [entry for entry in outputs if entry["shape"].prod() == len(classes)]
        if len(fitting) != 1 or fitting[0]["dtype"] is not np.float32:
            raise MismatchError(
                f"{path} gives {_shapes(outputs)}, expected {len(classes)} float32 values, one a class."
            )
        self._input, self._output = inputs[0], fitting[0]["index"]
        self.window_samples = int(inputs[0]["shape"].prod())

    def __call__(self, name: str, waveform: Floats) -> Floats:
        """Probabilities [C] of a waveform [S] of any length: of all windows that overlap by half, the greatest.

        The greatest, because a clip's label means that the event is heard somewhere in it: a mean would punish a short
        event in a long clip. The last window, or a shorter clip, is filled up with zeros.
        """
        return np.asarray(np.max([self._score(name, window) for window in windows(waveform, self.window_samples)], 0))

    def _score(self, name: str, window: Floats) -> Floats:
        self._net.set_tensor(self._input["index"], window.reshape(self._input["shape"]))
        self._net.invoke()
        return checked(self._net.get_tensor(self._output).ravel(), len(self.classes), f"{self._path}, clip {name}")


class FunctionScores:
    """A Python function that hears a whole clip and gives a value for each class, or a dict from class to value.

    Raises:
        UserError: there is no such function.
    """

    def __init__(self, function: str, classes: Sequence[str]) -> None:
        self.classes, self._name = classes, function
        module_name, _, attribute = function.partition(":")
        found: Any
        try:
            found = module = importlib.import_module(module_name)
            for step in attribute.split("."):
                found = getattr(found, step)
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"teacher.function {function} is not there: {error}. Mend it, or start where it is."
            ) from None
        if not callable(found):
            raise UserError(f"teacher.function {function} is a {type(found).__name__}, expected something to call.")
        self._function: Callable[[Any], Any] = found
        self.source_hash = sha256(Path(module.__file__)) if module.__file__ else ""
        """Of the module it stands in: an edit makes it another teacher."""

    def __call__(self, name: str, sound: Any) -> Floats:
        """Probabilities [C] of a clip; NaN for a class that a dict leaves out."""
        with torch.no_grad():
            found = self._function(sound)
        origin = f"{self._name}, clip {name}"
        if not isinstance(found, Mapping):
            return checked(found.cpu() if isinstance(found, torch.Tensor) else found, len(self.classes), origin)
        unknown = [key for key in found if key not in self.classes]
        if unknown:
            raise UserError(f"{origin}: unknown {'; '.join(near_miss(key, self.classes) for key in unknown):.300}")
        values = checked(list(found.values()), len(found), origin)
        by_class = dict(zip(found, values, strict=True))
        return np.array([by_class.get(each, np.nan) for each in self.classes], dtype=np.float32)


def windows(waveform: Floats, window_samples: int) -> Floats:
    """Windows [W, window_samples] that overlap by half and cover a waveform [S], zeros after its end."""
    hop = (window_samples + 1) // 2
    count = 1 + max(0, -(-(len(waveform) - window_samples) // hop))
    padded = np.zeros((count - 1) * hop + window_samples, dtype=np.float32)
    padded[: len(waveform)] = waveform
    return np.lib.stride_tricks.sliding_window_view(padded, window_samples)[::hop]


def checked(values: ArrayLike, count: int, origin: str) -> Floats:
    """Values as float32 [count] in 0..1; raises UserError, which names `origin`, where they are not."""
    found = np.asarray(values, dtype=np.float32)
    if found.shape not in ((count,), (1, count)):
        raise UserError(f"{origin}: found scores of shape {list(found.shape)}, expected [{count}], one for each class.")
    good = (found >= -ROUNDING) & (found <= 1 + ROUNDING)
    if not good.all():
        raise UserError(f"{origin}: found the score {found[~good][0]:.4g}, expected probabilities from 0 to 1.")
    return found.reshape(count).clip(0, 1)


def near_miss(name: str, known: Sequence[str]) -> str:
    """A wrong name in quotes, with the right one if one is near."""
    near = difflib.get_close_matches(str(name), known, n=1)
    return f'"{name}"' + (f" (did you mean {near[0]}?)" if near else "")


def read_classes(path: Path) -> tuple[str, ...]:
    """Class names in order, of a CSV with columns `index` and `display_name`.

    Raises:
        UserError: the file is missing or has other columns, an index is left out, or a name comes twice.
    """
    rows = _csv_rows(path)
    if not rows or not {"index", "display_name"} <= set(rows[0]):
        raise UserError(f"{path} needs the columns index and display_name, and a row for each class.")
    names = tuple(row["display_name"].strip() for row in rows)
    if [row["index"].strip() for row in rows] != [str(index) for index in range(len(rows))]:
        raise UserError(f"{path}: the column index must count 0, 1, 2 and so on: the order of the teacher's outputs.")
    if len(set(names)) < len(names) or "" in names:
        raise UserError(f"{path}: every class needs a display_name of its own.")
    return names


def read_table(path: Path, classes: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Floats]]:
    """Classes, and by clip name the probabilities [C], NaN for none, of an `.npz` or `.csv` table.

    Raises:
        UserError: the file is missing or damaged, or holds what is no probability.
        MismatchError: it has another number of classes than `classes`.
    """
    if path.suffix.lower() == ".csv":
        rows = _csv_rows(path)
        if not rows or CLIP_COLUMN not in rows[0]:
            raise UserError(f"{path} needs a column {CLIP_COLUMN}, a column for each class, and a row for each clip.")
        classes = tuple(name for name in rows[0] if name != CLIP_COLUMN)
        clips = [row[CLIP_COLUMN] for row in rows]
        try:
            scores = np.array([[float(row[name].strip() or "nan") for name in classes] for row in rows], np.float32)
        except ValueError as error:
            raise UserError(f"{path}: {error}. Scores are numbers from 0 to 1; an empty cell means none.") from None
    else:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                clips, scores = arrays["clip"].tolist(), arrays["scores"].astype(np.float32)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is no npz file with arrays clip (text) and scores: {error}.") from None
        if scores.shape != (len(clips), len(classes)):
            expected = f"{len(clips)} clips and {len(classes)} classes"
            raise MismatchError(
                f"{path} has scores of shape {list(scores.shape)}, expected {expected}. Name its classes."
            )
    wrong = ~(np.isnan(scores) | ((scores >= -ROUNDING) & (scores <= 1 + ROUNDING)))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        found = f"{path}, clip {clips[row]}: found the score {scores[row, column]:.4g} for {classes[column]}"
        raise UserError(f"{found}, expected probabilities from 0 to 1.")
    return tuple(classes), dict(zip(map(str, clips), scores.clip(0, 1), strict=True))


def _csv_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}. Check the path.") from None
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise UserError(f"{path}, row {number}: not as many fields as the header has. Mend the row.")
    return rows


def _shapes(details: list[dict[str, Any]]) -> str:
    return ", ".join(f"{entry['name']} {entry['dtype'].__name__} {entry['shape'].tolist()}" for entry in details)
