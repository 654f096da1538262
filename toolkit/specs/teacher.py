"""`TeacherSpec`: who gives a training its soft labels. Not the scoring itself: that is `toolkit.train.teachers`.

    stage      a stage of the recipe itself: our own network, trained first
    tflite     a TFLite file from waveform to probabilities (YAMNet, say), with the list of its classes
    table      probabilities of every clip that are there already: an npz or a CSV file
    callable   a Python function from waveform or log-mel to probabilities

Proved by tests/train/test_teachers.py.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Literal, Self

from pydantic import Field, model_validator

from toolkit.specs.record import Part

_FIELDS = {
    "stage": {"stage"},
    "tflite": {"file", "classes", "sample_rate_hz", "label_map"},
    "table": {"file", "classes", "label_map"},
    "callable": {"function", "takes", "sample_rate_hz", "classes", "label_map"},
}
_NEEDED = {"stage": ("stage",), "tflite": ("file", "classes"), "table": ("file",), "callable": ("function",)}


class TeacherSpec(Part):
    """The teacher of a recipe. Paths are relative to the folder that the training is started in, as `--data` is.

    Args:
        kind: see the list above; it says which of the other fields are needed and which have no place.
        stage: the stage that teaches.
        file: a TFLite file; or a table: `.npz` with `clip` [N] and `scores` [N, C], or `.csv` with a column `clip` and
            a column for each class.
        classes: CSV with columns `index` and `display_name`, as YAMNet and AudioSet publish theirs. A CSV table names
            its classes itself; a function without it answers for the trained labels.
        function: `package.module:name`.
        takes: what the function is called with: float32 samples [S], or log-mel [1, 1, T, F] of the recipe's front end.
        sample_rate_hz: of the samples that a TFLite file or a function takes.
        label_map: for each label the classes that mean it; the greatest of their probabilities counts. Labels that are
            not in it keep their hard labels. Empty: labels and classes have the same names.
    """

    kind: Literal["stage", "tflite", "table", "callable"] = "stage"
    stage: str = "teacher"
    file: str = ""
    classes: str = ""
    function: str = ""
    takes: Literal["waveform", "frames"] = "waveform"
    sample_rate_hz: int = Field(16_000, gt=0)
    label_map: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [name for name in _NEEDED[self.kind] if not getattr(self, name)]
        if self.kind == "table" and self.file and not self.classes and self._suffix() == ".npz":
            missing = ["classes"]
        if missing:
            raise ValueError(f'a teacher of kind "{self.kind}" needs {" and ".join(missing)}')
        plain = {name: field.get_default(call_default_factory=True) for name, field in type(self).model_fields.items()}
        given = {name for name, value in plain.items() if name != "kind" and getattr(self, name) != value}
        if foreign := sorted(given - _FIELDS[self.kind]):
            raise ValueError(f'a teacher of kind "{self.kind}" has no {" and no ".join(foreign)}; is its kind right?')
        if self.kind == "table" and self._suffix() not in (".npz", ".csv"):
            raise ValueError(f"a table of scores is an .npz or a .csv file, found {self.file}")
        if self.kind == "callable" and not re.fullmatch(r"[\w.]+:[\w.]+", self.function):
            raise ValueError(f'function must be written "package.module:name", found "{self.function}"')
        if empty := sorted(label for label, classes in self.label_map.items() if not classes):
            raise ValueError(f"label_map names no class for {', '.join(empty)}: name one or leave the label out")
        return self

    def _suffix(self) -> str:
        return PurePath(self.file).suffix.lower()
