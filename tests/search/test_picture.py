"""The picture of a search: made of every answer, the same bytes for the same answer."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tests.search.conftest import Place
from toolkit.search.picture import draw_answers
from toolkit.search.search import Question, look

PNG = b"\x89PNG\r\n"


def test_a_picture_lies_beside_each_pick(place: Place) -> None:
    """Two drawings of one answer are equal to the byte, and stand beside the Pick."""
    answers = look(Question(("board",), place.run, devices=place.devices, out=place.out))
    drawn = draw_answers(answers)["board"]
    first = drawn.read_bytes()
    assert first.startswith(PNG)
    assert drawn == answers.each[0].path.with_suffix(".png")
    assert draw_answers(answers)["board"].read_bytes() == first


def test_another_answer_is_another_picture(place: Place) -> None:
    """What was compared is what is drawn."""
    question = Question(("board",), place.run, devices=place.devices, out=place.out)
    drawn = draw_answers(look(question))["board"].read_bytes()
    few = look(replace(question, method="random", candidates=3))
    assert draw_answers(few)["board"].read_bytes() != drawn


def test_without_matplotlib_there_is_none(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a board that has no matplotlib a search answers without a picture."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    answers = look(Question(("board",), place.run, devices=place.devices, out=place.out))
    assert draw_answers(answers) == {}
