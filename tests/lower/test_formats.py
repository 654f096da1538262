"""The table of formats: each pair in it can be made, each other one is refused, and files depend on nothing else."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch

from tests.lower.conftest import STREAM_RANGES, Made
from tests.lower.toys import Bessel, streaming_piece, toy_piece
from toolkit.lower.converting import converting
from toolkit.lower.formats import FORMATS, lower
from toolkit.lower.piece import Piece, Quantization
from toolkit.lower.traced import traced
from toolkit.specs.errors import UserError
from toolkit.specs.runtime import Precision, Runtime

PAIRS: list[Any] = [(runtime, precision) for runtime, held in FORMATS.items() for precision in held.precisions]
TRACED: tuple[Runtime, ...] = ("executorch", "onnx", "coreml")
SCRIPT = f"""
import hashlib
from tests.lower.toys import streaming_piece
from toolkit.lower.formats import lower
from toolkit.lower.piece import Quantization
for runtime in {tuple(FORMATS)!r}:
    (model,) = lower(runtime, streaming_piece(8), ["int8"], Quantization({STREAM_RANGES!r}))
    print(runtime, hashlib.sha256(model).hexdigest())
"""


@pytest.mark.parametrize(("runtime", "precision"), PAIRS)
def test_every_pair_in_the_table_is_made(made: Made, runtime: Runtime, precision: Precision) -> None:
    """A file, which is another one than the runtime's float one."""
    model = made(runtime, precision, "toy")
    float_one = FORMATS[runtime].precisions[0]
    assert len(model) > 1000
    assert precision == float_one or model != made(runtime, float_one, "toy")


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [("tflite", "int8-weights"), ("executorch", "fp16"), ("coreml", "fp32"), ("onnx", "int8-dynamic")],
)
def test_a_pair_that_is_not_in_the_table_is_refused(runtime: Runtime, precision: Precision) -> None:
    """Before anything is converted, with what there is."""
    expected = ", ".join(FORMATS[runtime].precisions)
    with pytest.raises(UserError, match=f"{runtime} files are not made in {precision}; expected {expected}"):
        list(lower(runtime, toy_piece(), [FORMATS[runtime].precisions[0], precision], Quantization()))


def test_conversions_are_silent_and_give_the_same_bytes_in_another_process(made: Made) -> None:
    """The libraries' talk and warnings reach nobody, even where every warning is an error."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"{runtime} {hashlib.sha256(made(runtime, 'int8', 'stream8')).hexdigest()}" for runtime in FORMATS
    ]


@pytest.mark.parametrize("runtime", TRACED)
def test_an_operator_that_a_runtime_lacks_is_named(runtime: Runtime) -> None:
    """And so is the module; test_tflite.py does so for TFLite."""
    piece = Piece(Bessel().eval(), (torch.zeros(2),), ("x",), ("y",))
    with pytest.raises(UserError, match=r"cannot hold Bessel: it has no operator for \S*bessel_j0.*Write its forward"):
        list(lower(runtime, piece, FORMATS[runtime].precisions[:1], Quantization()))


@pytest.mark.parametrize(
    ("runtime", "library"), [("executorch", "executorch.exir"), ("onnx", "onnxscript"), ("coreml", "coremltools")]
)
def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, runtime: Runtime, library: str) -> None:
    """On a board without converters the message says what to install."""
    for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"needs {library}.*aec-toolkit\[export\]"):
        list(lower(runtime, streaming_piece(8), FORMATS[runtime].precisions[:1], Quantization()))


def test_a_traced_piece_has_its_names_and_no_taps() -> None:
    """Inputs are called as the piece's; the results end before the taps."""
    program = traced(toy_piece(), "fp32", Quantization())
    assert program.graph_signature.user_inputs == ("wave",)
    assert len(program.graph_signature.user_outputs) == 1


def test_converting_leaves_the_world_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    """Warnings and log lines pass again after a conversion, and so does the environment, failed or not."""
    environment = dict(os.environ)
    with pytest.raises(UserError, match=r"X cannot hold M: broken\. Write"), converting("X", "M"):
        _talk_and_fail()
    assert (dict(os.environ), logging.root.manager.disable) == (environment, logging.NOTSET)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)
    assert "unheard" not in "".join(capfd.readouterr())


def _talk_and_fail() -> None:
    logging.getLogger("elsewhere").warning("unheard")
    warnings.warn("unheard", stacklevel=1)
    raise ValueError("\x1b[96mbroken\x1b[0m\nand more")


@pytest.mark.parametrize("runtime", TRACED)
def test_between_two_files_nothing_is_silenced(runtime: Runtime) -> None:
    """Who asked for files may talk while it has the first one and not yet the second."""
    before = dict(os.environ), logging.root.manager.disable, sys.stderr
    made = lower(runtime, streaming_piece(8), FORMATS[runtime].precisions[:2], Quantization(STREAM_RANGES))
    assert next(made)
    assert (dict(os.environ), logging.root.manager.disable, sys.stderr) == before


def test_a_user_error_passes_a_conversion_unchanged() -> None:
    """What says what to do needs no second message."""
    with pytest.raises(UserError, match=r"^do this$"), converting("X", "M"):
        raise UserError("do this")
