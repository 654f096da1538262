"""A Core ML package is checked as far as any system can: names, shapes, version, how its weights are held."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.specs.bundle import BundleFile, BundleManifest, TensorSpec
from toolkit.verify.coreml import check_package

pytestmark = pytest.mark.xdist_group("every bundle")


def packages(folder: Path) -> dict[str, BundleFile]:
    """Core ML files of a bundle by name."""
    files = BundleManifest.load(folder / "manifest.json").files
    return {file.name: file for file in files if file.runtime == "coreml"}


def test_exported_packages_have_no_fault(every_bundle: Path) -> None:
    """Three precisions in two modes."""
    found = packages(every_bundle)
    assert len(found) == 6
    assert [fault for name, file in found.items() for fault in check_package(every_bundle / name, file)] == []


def test_another_precision_is_found_out(every_bundle: Path) -> None:
    """A float16 package under an int8 name lacks its quantized weights; an int8 one under fp16's has too many."""
    files = packages(every_bundle)
    half, whole = "frames.fp16.mlpackage.zip", "frames.int8.mlpackage.zip"
    (lacking,) = check_package(every_bundle / half, files[whole])
    (surplus,) = check_package(every_bundle / whole, files[half])
    assert lacking == "it is to be int8, but has no constexpr_affine_dequantize, dequantize, quantize"
    assert surplus.startswith("it is to be fp16, but has ")


def test_another_shape_is_found_out(every_bundle: Path) -> None:
    """What the file takes and what the manifest says are both told."""
    file = packages(every_bundle)["frames.fp16.mlpackage.zip"]
    other = file.model_copy(update={"inputs": (TensorSpec(name="log_mel", shape=(1, 5)),)})
    (fault,) = check_package(every_bundle / file.name, other)
    assert fault == "its inputs are [('log_mel', (1, 1, 1000, 64))], the manifest says [('log_mel', (1, 5))]"
