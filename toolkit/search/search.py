"""`search`: from devices' names to Picks on disk: what subnets cost, from tables; how good they are, from the Run.

Proved by tests/search/test_search.py.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from toolkit.costs.bounds import merge
from toolkit.costs.predict import Costs, predict_all, widths_of
from toolkit.costs.tables import find_table, load_table
from toolkit.search.choice import Choice, choose, with_costs
from toolkit.search.front import Scored, best, pareto_front
from toolkit.search.methods import Method, Problem, scored
from toolkit.search.scores import RunScores, Scorer, pool
from toolkit.specs.cost import CostTable
from toolkit.specs.device import load_profile
from toolkit.specs.errors import InfeasibleError, UserError
from toolkit.specs.layer import Mode
from toolkit.specs.pick import Pick, pick_path
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.shipped import DEVICES, OUT
from toolkit.specs.space import Subnet


@dataclass(frozen=True)
class Question:
    """What is searched; `bounds` replace those of a device's default budget, by the names of `Budget`'s fields."""

    device_names: tuple[str, ...]
    run: Path | None = None
    table: Path | None = None
    runtime: Runtime = "tflite"
    mode: Mode = "stream"
    precision: Precision = "int8"
    bounds: Mapping[str, float] = field(default_factory=dict)
    method: Method = "exhaustive"
    candidates: int | None = None
    """Subnets to score at most; the method's own number if none is given."""
    seed: int = 0
    clips: int | None = None
    """Validation clips that a method compares on; all if none is given."""
    out: Path = OUT
    devices: Path | None = None
    """Folder with profiles of one's own."""

    @property
    def folders(self) -> str:
        """Its own folders as options, for the commands of other verbs."""
        return _named(run=self.run, out=self.out if self.out != OUT else None)

    @property
    def profile_folders(self) -> str:
        """The same for `profile`, which reads profiles too."""
        return self.folders + _named(devices=self.devices)


def _named(**folders: Path | None) -> str:
    return "".join(f" --{name} {shlex.quote(str(folder))}" for name, folder in folders.items() if folder)


@dataclass(frozen=True)
class Answer:
    """A Pick, where it lies, and what it was chosen from."""

    pick: Pick
    path: Path
    table: CostTable
    table_path: Path
    problem: Problem
    choice: Choice


@dataclass(frozen=True)
class Answers:
    """An answer for each device, what stands in the way of the others, and one subnet for all."""

    each: tuple[Answer, ...]
    infeasible: Mapping[str, str]
    for_all: Scored | None = None
    """The best that is inside every device's budget, with its costs on the first named; None with one device."""
    clips: int | None = None
    """Validation clips that were compared on, where a number was asked for."""


def search(question: Question, scorer: Scorer | None = None) -> Answers:
    """Find the best subnet for each device and write the Picks to `out/picks/`; raises as `look` does."""
    answers = look(question, scorer)
    if scorer is None or scorer.is_first:
        for answer in answers.each:
            answer.pick.save(answer.path)
    return answers


def look(question: Question, scorer: Scorer | None = None) -> Answers:
    """Find the best subnet for each device, and write nothing but what `scorer` keeps.

    Args:
        question: what is searched.
        scorer: how good subnets are; the Run's own figures if none is given.

    Raises:
        UserError: unknown device, no Run, no table, a contradictory budget.
        MismatchError: a table does not belong to the Run, or lacks layers.
    """
    _check(question)
    run = Run.open(question.run)
    scorer = scorer or RunScores(run)
    tables = {name: table_of(question, name, run.manifest) for name in question.device_names}
    subnets = pool(run, scorer, question.method, question.seed)
    answers, infeasible, problems = [], {}, []
    for name, (path, table) in tables.items():
        problem = problem_of(question, name, run.manifest, table, subnets, scorer)
        problems.append(problem)
        try:
            found = with_costs(problem, scored(problem, question.method, question.candidates, question.seed))
            choice = choose(problem, found if question.clips is None else _finals(problem, found, scorer))
        except InfeasibleError as error:
            infeasible[name] = str(error)
            continue
        candidates = sum(each.is_inside for each in found)
        pick = _pick(question, name, run, table, problem, choice, candidates)
        answers.append(Answer(pick, pick_path(pick, question.out), table, path, problem, choice))
    everyone = _for_all(answers, problems)
    scorer.complete([answer.choice.best.subnet for answer in answers] + ([everyone.subnet] if everyone else []))
    return Answers(tuple(answers), infeasible, everyone, scorer.clips)


def _finals(problem: Problem, found: Sequence[Scored], scorer: Scorer) -> tuple[Scored, ...]:
    """What a method found good on a part of the recordings, scored on all of them: the front inside the budget."""
    front = pareto_front([each for each in found if each.is_inside])
    return with_costs(problem, scorer.finals([each.subnet for each in front]) if front else {})


def _check(question: Question) -> None:
    names = question.device_names
    if len(set(names)) < len(names):
        raise UserError(f"a device is named twice: {', '.join(names)}. Name each once.")
    if question.table is not None and len(names) > 1:
        raise UserError("--table is of one device: search for the others without it, or one after the other.")
    if question.mode != "stream" and "max_core_share" in question.bounds:
        raise UserError("--max-core-share is the share of always-on listening: it needs --mode stream.")


def table_of(question: Question, device: str, run: RunManifest) -> tuple[Path, CostTable]:
    """A device's table and its file: the named one, or the best that lies in `out`, `devices` or the package.

    Raises:
        UserError: an unknown device, no table, a broken one.
        MismatchError: it does not belong to the Run.
    """
    profile = load_profile(device, question.devices)
    wanted = (device, question.runtime, question.mode, question.precision, run)
    can_model = profile.can_model(question.runtime, question.precision)
    if question.table is not None:
        return question.table, load_table(question.table, *wanted, question.profile_folders, can_model=can_model)
    places = [question.out, *([question.devices] if question.devices else []), DEVICES]
    folders = [place / "tables" for place in places]
    return find_table(*wanted, folders, question.profile_folders, can_model=can_model)


def problem_of(
    question: Question, device: str, run: RunManifest, table: CostTable, subnets: Sequence[Subnet], scorer: Scorer
) -> Problem:
    """What is searched on a device: the subnets at the costs of its table, inside its budget and the question's bounds.

    Raises:
        UserError: an unknown device, or a contradictory budget.
    """
    budget = merge(load_profile(device, question.devices).budget, question.bounds)
    if question.mode != "stream":
        budget = budget.model_copy(update={"max_core_share": None})

    def cost(some: Sequence[Subnet]) -> Costs:
        return predict_all(table, run.space, widths_of(some), run.front_end, len(run.labels))

    return Problem(run.space, subnets, cost, scorer.scores, budget)


def _pick(
    question: Question, device: str, run: Run, table: CostTable, problem: Problem, choice: Choice, candidates: int
) -> Pick:
    return Pick(
        device=device,
        subnet=choice.best.subnet.id,
        run_name=run.manifest.name,
        run_hash=run.hash,
        table_hash=table.hash,
        runtime=table.key.runtime,
        precision=question.precision,
        mode=question.mode,
        budget=problem.budget,
        predicted=choice.best.cost,
        mean_average_precision=choice.best.mean_average_precision,
        method=question.method,
        seed=question.seed,
        candidates=candidates,
        created_utc=datetime.now(UTC).isoformat(),
    )


def _for_all(answers: Sequence[Answer], problems: Sequence[Problem]) -> Scored | None:
    """The best-scoring of all that were scored and that every device's budget holds."""
    if len(problems) < 2:
        return None
    scores = {each.subnet: each.mean_average_precision for answer in answers for each in answer.choice.scored}
    on_each = zip(*(with_costs(problem, scores) for problem in problems), strict=True)
    return best(costs[0] for costs in on_each if all(each.is_inside for each in costs))
