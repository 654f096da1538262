"""What XNNPACK takes of a file and what falls back, for TFLite and ExecuTorch."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.specs.bundle import BundleManifest
from toolkit.verify.delegation import Delegation, delegation

pytestmark = pytest.mark.xdist_group("every bundle")

HEAVY = {"CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "aten::convolution", "aten::linear", "aten::bmm"}


def found(folder: Path, name: str) -> Delegation | None:
    """The delegation of one file of a bundle."""
    file = next(f for f in BundleManifest.load(folder / "manifest.json").files if f.name == name)
    return delegation(folder / name, file)


@pytest.mark.parametrize("mode", ["stream", "frames"])
@pytest.mark.parametrize("ending", ["fp32.tflite", "int8.tflite", "int8-dynamic.tflite", "fp32.pte", "int8.pte"])
def test_all_heavy_operators_are_xnnpacks(every_bundle: Path, mode: str, ending: str) -> None:
    """Convolutions, linear layers and the front end's matrix products never fall back."""
    result = found(every_bundle, f"{mode}.{ending}")
    assert result is not None
    assert result.parts >= 1
    assert not HEAVY & set(result.fall_backs)


def test_executorchs_pooling_over_time_falls_back(every_bundle: Path) -> None:
    """XNNPACK has no maximum over time, so the file runs ExecuTorch's own: it is named and counted."""
    result = found(every_bundle, "frames.int8.pte")
    assert result is not None
    assert result.fall_backs["aten::amax"] == 1


def test_onnx_has_no_delegate(every_bundle: Path) -> None:
    """onnxruntime's kernels are its own."""
    assert found(every_bundle, "frames.fp32.onnx") is None
