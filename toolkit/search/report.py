"""Search's answers for people and as JSON. Not the search. Proved by tests/search/test_command.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from toolkit.costs.bounds import BOUNDS
from toolkit.search.front import Scored
from toolkit.search.picture import NO_PICTURE
from toolkit.search.search import Answer, Answers, Question
from toolkit.specs.cost import Kind

_KNOWN_BY: dict[Kind, str] = {
    "measured": "sum of measured layers",
    "interpolated": "sum of layers, some interpolated",
    "modelled": "modelled, not measured",
}
_COUNTED = {"params": "counted, exact", "macs": "counted, exact", "file_mb": "counted, not measured"}


def as_json(answers: Answers, question: Question, pictures: Mapping[str, Path]) -> dict[str, Any]:
    """The picks and what they were chosen from, as plain data."""
    everyone = answers.for_all
    return {
        "answers": [_answer_as_json(answer, question, pictures) for answer in answers.each],
        "infeasible": dict(answers.infeasible),
        "for_all": everyone and _scored_as_json(everyone) | {"predicted_on": _on_each(everyone, answers)},
    }


def print_answers(answers: Answers, question: Question, pictures: Mapping[str, Path]) -> None:
    """Each answer to stdout, on about fifteen lines."""
    console = Console(highlight=False)
    for number, answer in enumerate(answers.each):
        pick = answer.pick
        title = f"{pick.device}, {pick.runtime}, {pick.precision}, {pick.mode} mode: subnet [bold]{pick.subnet}[/bold]"
        if number:
            console.print()
        console.print(f"{title}\n", soft_wrap=True)
        console.print(_figures(answer))
        console.print()
        _print_remarks(console, _remarks(answer, answers.clips, question, pictures))
    if len(answers.each) > 1:
        console.print()
        _print_remarks(console, [("for all", _for_all(answers.for_all, question))])


def next_command(question: Question, choice: str) -> str:
    """What people type next; `choice` is the option that says what to export."""
    runtime = "" if question.runtime == "tflite" else f" --runtime {question.runtime}"
    precision = "" if question.precision == "int8" else f" --precision {question.precision}"
    return f"python -m toolkit.export {choice}{runtime}{precision}{question.folders}"


def _answer_as_json(answer: Answer, question: Question, pictures: Mapping[str, Path]) -> dict[str, Any]:
    choice, larger = answer.choice, answer.choice.next_larger
    picture = pictures.get(answer.pick.device)
    return {
        "pick": answer.pick.model_dump(mode="json"),
        "path": str(answer.path),
        "table": {"path": str(answer.table_path), "rows": list(answer.table.kinds)},
        "error_band": answer.table.error_band,
        "subnets": len(answer.problem.subnets),
        "space_subnets": len(answer.problem.space),
        "inside_budget": choice.inside,
        "front": [_scored_as_json(each) for each in choice.front],
        "next_larger": larger
        and {
            "subnet": larger[0].id,
            "mean_average_precision": _score_of(answer, larger[0].id),
            "breaks": [
                {"bound": excess.bound.field, "limit": excess.limit, "predicted": excess.found} for excess in larger[1]
            ],
        },
        "picture": str(picture) if picture else None,
        "next_command": next_command(question, f"--device {answer.pick.device}"),
    }


def _scored_as_json(scored: Scored) -> dict[str, Any]:
    return {
        "subnet": scored.subnet.id,
        "mean_average_precision": scored.mean_average_precision,
        "predicted": scored.cost.model_dump(mode="json"),
        "inside_budget": scored.is_inside,
    }


def _on_each(scored: Scored, answers: Answers) -> dict[str, Any]:
    """What a subnet costs on each device."""
    every = {answer.pick.device: answer.problem.cost([scored.subnet])[0] for answer in answers.each}
    return {device: cost.model_dump(mode="json") for device, cost in every.items()}


def _score_of(answer: Answer, subnet: str) -> float | None:
    return next((each.mean_average_precision for each in answer.choice.scored if each.subnet.id == subnet), None)


def _figures(answer: Answer) -> Table:
    predicted, budget = answer.pick.predicted, answer.pick.budget
    table = Table("", "predicted", "budget", "known by", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for bound in BOUNDS:
        figure, limit = bound.figure(predicted), getattr(budget, bound.field)
        if figure is None or (bound.is_least and limit is None):
            continue
        known = _COUNTED.get(bound.name, _KNOWN_BY[predicted.latency_ms.kind])
        if bound.name == "memory_mb" and predicted.memory_mb.kind == "modelled":
            known = _COUNTED["file_mb"]
        allowed = "" if limit is None else ("at least " if bound.is_least else "at most ") + bound.text(limit)
        table.add_row(bound.title, bound.text(figure), allowed, known)
    table.add_row("mAP", f"{answer.pick.mean_average_precision:.3f}", "", "validation, before quantization")
    return table


def _print_remarks(console: Console, remarks: Sequence[tuple[str, str]]) -> None:
    for title, text in remarks:
        console.print(f"{title:<13}{text}", soft_wrap=True, markup=False)


def _remarks(
    answer: Answer, clips: int | None, question: Question, pictures: Mapping[str, Path]
) -> list[tuple[str, str]]:
    pick, choice = answer.pick, answer.choice
    remarks = [("method", _method(answer))]
    if clips:
        remarks.append(("", f"compared on {clips} clips; the mAP of {len(choice.scored)} is that on all clips"))
    front_inside = sum(each.is_inside for each in choice.front)
    remarks.append(
        ("front", f"{len(choice.front)} subnets that none beats in mAP, latency and memory; {front_inside} inside")
    )
    if choice.next_larger:
        subnet, broken = choice.next_larger
        score = _score_of(answer, subnet.id)
        known = "" if score is None else f" (mAP {score:.3f})"
        remarks.append(("next larger", f"{subnet}{known} breaks {', '.join(map(str, broken))}"))
    else:
        remarks.append(("next larger", "none that breaks the budget"))
    rows = " and ".join(answer.table.kinds)
    remarks.append(("table", f"{answer.table_path} ({rows} rows, threads: {answer.table.key.threads})"))
    if answer.table.error_band:
        remarks.append(("error band", f"{answer.table.error_band} (of the modelled latency)"))
    if not answer.table.key.runtime_base_bytes:
        remarks.append(("", "memory is without the runtime's own, which this table does not know"))
    if pick.mode != "stream":
        remarks.append(("", "a share of one core is for stream mode and is no part of this budget"))
    if pick.predicted.latency_ms.kind == "modelled":
        remarks.append(("", "to measure on the device itself: python -m toolkit.profile --help"))
    drawn = pictures.get(pick.device)
    remarks.append(("picture", str(drawn) if drawn else NO_PICTURE))
    return [*remarks, ("pick", str(answer.path)), ("next", next_command(question, f"--device {pick.device}"))]


def _method(answer: Answer) -> str:
    pick, problem = answer.pick, answer.problem
    inside = f"{answer.choice.inside:,} inside the budget compared, of {problem.extent}"
    if pick.method == "exhaustive":
        return f"exhaustive, all {inside}"
    if pick.method == "random":
        return f"random, seed {pick.seed}, {pick.candidates} of the {inside}"
    return (
        f"evolution, seed {pick.seed}, {pick.candidates} inside the budget bred and compared, of a space of "
        f"{len(problem.space):,}"
    )


def _for_all(best: Scored | None, question: Question) -> str:
    if best is None:
        return "no subnet that was compared fits every device's budget"
    return f"{best.subnet} (mAP {best.mean_average_precision:.3f}) is the best that fits every device: " + next_command(
        question, f"--subnet {best.subnet}"
    )
