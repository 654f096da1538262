"""The pick on trial: measured; where it fails and that is wanted, its layers measured anew, searched again, and so on.

Each step is on disk before it is told: the record, the refined table, the new Pick. So a trial that is killed loses the
timings under way, of which the journal keeps what there was. Proved by tests/search/test_trial.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.profile.journal import journals
from toolkit.search.how import How
from toolkit.search.measured import Bench, Report, exported, journal_name, judge, measure, open_bench
from toolkit.search.refine import Refined, refine
from toolkit.search.search import Answers, Question
from toolkit.specs.device import load_profile
from toolkit.specs.measured import Measured, measured_path
from toolkit.specs.run import Run

REFINEMENTS = 3
"""At most: each may bring another pick, whose layers were not measured yet."""


@dataclass(frozen=True)
class Step:
    """A verdict: on which answer, where it lies, and what was measured anew before it."""

    answers: Answers
    measured: Measured
    path: Path
    refined: Refined | None = None


@dataclass(frozen=True)
class Stuck:
    """The refined table holds no subnet inside the budget any more."""

    answers: Answers
    refined: Refined


def trial(
    question: Question, answers: Answers, how: How, search: Callable[[Question], Answers], report: Report
) -> Iterator[Step | Stuck]:
    """Measure the only pick among the answers; yields each verdict when its record is written.

    Args:
        question: what was searched, of one device.
        answers: to it, with a pick.
        how: the device is reached, and whether to refine.
        search: answers a question again and writes its Pick.
        report: told what is being done.

    Raises:
        UserError: no such target or agent, or a library is missing.
        MismatchError: the target cannot be the device, or refined rows would not mix with the table's.
        DeviceError: the target could not do it.
    """
    device = load_profile(question.device_names[0], question.devices)
    (answer,) = answers.each
    bench = open_bench(how, device, answer.table, report)
    names = [journal_name(answer.pick, what) for what in ("measured", "refined")]
    with journals(question.out / "journals", device.name, names, resume=how.resume):
        yield from _steps(bench, question, answers, how, search, report)


def _steps(
    bench: Bench,
    question: Question,
    answers: Answers,
    how: How,
    search: Callable[[Question], Answers],
    report: Report,
) -> Iterator[Step | Stuck]:
    (answer,) = answers.each
    step = _kept(question, answers, measure(bench, Run.open(question.run), answer, question.out, how.resume, report))
    yield step
    for number in range(1, REFINEMENTS + 1):
        if step.measured.passed or not how.refine:
            return
        (answer,), run = step.answers.each, Run.open(question.run)
        model = exported(run, answer.pick, question.out, report)
        resume = how.resume and number == 1
        refined = refine(bench, run, answer, model, step.measured, question, resume, report)
        answers = search(replace(question, table=refined.path))
        if not answers.each:
            yield Stuck(answers, refined)
            return
        (again,) = answers.each
        if again.pick.subnet == answer.pick.subnet:
            measured = judge(bench, run, again, model, refined.name, refined.taken)
        else:
            measured = measure(bench, Run.open(question.run), again, question.out, False, report)
        step = _kept(question, answers, measured.model_copy(update={"refinements": number}), refined)
        yield step


def _kept(question: Question, answers: Answers, measured: Measured, refined: Refined | None = None) -> Step:
    path = measured_path(measured.pick, question.out)
    measured.save(path)
    return Step(answers, measured, path, refined)
