"""A torch module becomes a float32 TFLite file that says the same, under the names it was given."""

from __future__ import annotations

import sys

import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor, nn

from tests.lower.toys import Bessel, Toy, channels_last, run, signals, streaming_piece, toy_piece
from toolkit.lower.piece import Piece
from toolkit.lower.tflite import lower_tflite, lower_tflite_many
from toolkit.specs.errors import UserError


class Doubled(nn.Module):
    """Taps its own output."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[N] to [N], twice."""
        y = 2 * x
        return y, y


def test_the_file_scores_as_the_module_does(files: dict[str, bytes]) -> None:
    """Noise, tones and chirps through the front end and the classifier, to float32's precision."""
    for wave in signals():
        assert run(files["toy"], wave=wave)["scores"] == pytest.approx(Toy()(wave)[0].numpy(), abs=1e-5)


def test_tensors_are_channels_last_and_keep_their_names_and_order(files: dict[str, bytes]) -> None:
    """The file's own order of inputs and outputs is the piece's, not the alphabet's."""
    interpreter = Interpreter(model_content=files["stream8"])
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    assert [(entry["name"], tuple(entry["shape"])) for entry in inputs] == [
        ("chunk", (1, 8, 6, 3)),
        ("a_state", (1, 2, 6, 3)),
    ]
    assert [entry["name"] for entry in outputs] == ["out", "next_state"]

    generator = torch.Generator().manual_seed(1)
    chunk, state = (torch.randn(example.shape, generator=generator) for example in streaming_piece(8).example_inputs)
    expected = streaming_piece(8).module(chunk, state)
    found = run(files["stream8"], chunk=chunk, a_state=state)
    for name, tensor in zip(("out", "next_state"), expected, strict=True):
        assert found[name] == pytest.approx(channels_last(tensor), abs=1e-5)


def test_taps_are_names_inside_the_file_and_no_outputs(files: dict[str, bytes]) -> None:
    """A tap costs nothing at run time and can be found."""
    interpreter = Interpreter(model_content=files["toy"])
    assert [entry["name"] for entry in interpreter.get_output_details()] == ["scores"]
    assert {entry["name"] for entry in interpreter.get_tensor_details()} >= set(toy_piece().tap_names)


def test_pieces_converted_together_are_the_files_they_would_be_alone(files: dict[str, bytes]) -> None:
    """To the byte: `lower_tflite_many` is only faster."""
    assert lower_tflite(streaming_piece(16)) == files["stream16"]
    assert lower_tflite_many([]) == []


def test_an_operator_that_tflite_lacks_is_named() -> None:
    """The message says which operator, and of which module."""
    with pytest.raises(UserError, match=r"Bessel.*special_bessel_j0"):
        lower_tflite(Piece(Bessel().eval(), (torch.zeros(2),), ("x",), ("y",)))


def test_a_tap_that_has_another_name_already_is_refused() -> None:
    """A range given for it would be lost."""
    with pytest.raises(UserError, match="tap twin of Doubled"):
        lower_tflite(Piece(Doubled().eval(), (torch.zeros(2),), ("x",), ("y",), ("twin",)))


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a board without converters the message says what to install."""
    monkeypatch.setitem(sys.modules, "litert_torch", None)
    with pytest.raises(UserError, match=r"litert_torch.*aec-toolkit\[export\]"):
        lower_tflite(streaming_piece(8))


def test_a_piece_is_checked_when_it_is_made() -> None:
    """Names must match the tensors and differ; a module in training mode is no finished one."""
    module, inputs = nn.ReLU().eval(), (torch.zeros(2),)
    with pytest.raises(ValueError, match="1 example inputs, but 2 input names"):
        Piece(module, inputs, ("x", "z"), ("y",))
    with pytest.raises(ValueError, match="found twice: x"):
        Piece(module, inputs, ("x",), ("x",))
    with pytest.raises(ValueError, match="training mode"):
        Piece(nn.ReLU(), inputs, ("x",), ("y",))
