"""What of a Core ML package can be checked on any system: its program, names, shapes, and how its weights are held.

Its scores need a Mac, where `verify` runs it as any other file. Proved by tests/verify/test_coreml.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toolkit.lower.converting import silence
from toolkit.specs.bundle import BundleFile
from toolkit.specs.runtime import Precision
from toolkit.verify.models import unzip_package

IOS_17 = 8
"""Specification version of packages that iOS 17 and macOS 14 load."""
_QUANTIZED = frozenset({"constexpr_affine_dequantize", "quantize", "dequantize"})
_MARKS: dict[Precision, frozenset[str]] = {
    "fp32": frozenset(),
    "fp16": frozenset(),
    "int8-weights": frozenset({"constexpr_affine_dequantize"}),
    "int8": _QUANTIZED,
}


def check_package(path: Path, file: BundleFile) -> Iterator[str]:
    """What is wrong with a zipped package, a sentence each; nothing if it is as the manifest says.

    Raises:
        UserError: it is no package, or coremltools is missing.
    """
    with tempfile.TemporaryDirectory() as folder, silence():
        from coremltools.models.utils import load_spec

        spec: Any = load_spec(str(unzip_package(path, Path(folder))))
    if spec.specificationVersion != IOS_17:
        yield f"its specification is version {spec.specificationVersion}, expected {IOS_17} (iOS 17)"
    description = spec.description
    for what, found, expected in (
        ("inputs", description.input, file.inputs),
        ("outputs", description.output, file.outputs),
    ):
        shapes = [(each.name, tuple(each.type.multiArrayType.shape)) for each in found]
        wanted = [(each.name, each.shape) for each in expected]
        if shapes != wanted:
            yield f"its {what} are {shapes}, the manifest says {wanted}"
    operators = set(_operators(spec))
    marks = _MARKS[file.precision]
    if missing := sorted(marks - operators):
        yield f"it is to be {file.precision}, but has no {', '.join(missing)}"
    if surplus := sorted((operators & _QUANTIZED) - marks):
        yield f"it is to be {file.precision}, but has {', '.join(surplus)}"


def _operators(spec: Any) -> Iterator[str]:
    for function in spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for operation in block.operations:
                yield operation.type
