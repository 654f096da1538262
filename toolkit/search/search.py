"""`search`: from a device's name to a Pick on disk, in one look-up of the Run's evaluations and the device's table.

Proved by tests/search/test_search.py.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from toolkit.costs.bounds import Excess, merge
from toolkit.search.methods import PAPER_CANDIDATES, Method, choose
from toolkit.costs.predict import predict
from toolkit.costs.tables import find_table, load_table
from toolkit.specs.cost import CostTable
from toolkit.specs.device import load_profile
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Mode
from toolkit.specs.pick import Pick, pick_path
from toolkit.specs.run import Run
from toolkit.specs.runtime import Precision
from toolkit.specs.shipped import DEVICES, OUT


@dataclass(frozen=True)
class Question:
    """What is searched; `bounds` replace those of the device's default budget, by the names of `Budget`'s fields."""

    device: str
    run: Path | None = None
    table: Path | None = None
    mode: Mode = "stream"
    precision: Precision = "int8"
    bounds: Mapping[str, float] = field(default_factory=dict)
    method: Method = "exhaustive"
    candidates: int = PAPER_CANDIDATES
    seed: int = 0
    out: Path = OUT
    devices: Path | None = None

    @property
    def folders(self) -> str:
        """Its own folders as options, for the commands of other verbs."""
        named = {"run": self.run, "out": self.out if self.out != OUT else None}
        return "".join(f" --{name} {folder}" for name, folder in named.items() if folder)


@dataclass(frozen=True)
class Larger:
    """The next larger subnet outside the budget."""

    subnet: str
    mean_average_precision: float
    breaks: tuple[Excess, ...]


@dataclass(frozen=True)
class Answer:
    """A Pick, where it lies, and what it was chosen from."""

    pick: Pick
    path: Path
    table: CostTable
    table_path: Path
    subnets: int
    inside: int
    next_larger: Larger | None


def search(question: Question) -> Answer:
    """Find the best subnet for a device and write the Pick to `out/picks/`.

    Raises:
        UserError: unknown device, no Run, no table, a contradictory budget.
        MismatchError: the table does not belong to the Run.
        InfeasibleError: no subnet fits the budget.
    """
    profile = load_profile(question.device, question.devices)
    run = Run.open(question.run)
    manifest = run.manifest
    if question.table is not None:
        path = question.table
        table = load_table(path, question.device, question.mode, question.precision, manifest)
    else:
        places = [question.out, *([question.devices] if question.devices else []), DEVICES]
        folders = [place / "tables" for place in places]
        options = f" --mode {question.mode} --precision {question.precision}{question.folders}"
        options += f" --devices {question.devices}" if question.devices else ""
        path, table = find_table(question.device, question.mode, question.precision, manifest, folders, options)

    if question.mode != "stream" and "max_core_share" in question.bounds:
        raise UserError("--max-core-share is the share of always-on listening: it needs --mode stream.")
    budget = merge(profile.budget, question.bounds)
    if question.mode != "stream":
        budget = budget.model_copy(update={"max_core_share": None})

    space, labels = manifest.space, len(manifest.labels)
    if not run.results:
        raise UserError(
            f"Run {manifest.name} holds no evaluation of any subnet. Train it again: python -m toolkit.train"
        )
    known = map(space.parse, run.results)  # of a large space, or of one subnet tuned by itself, a Run evaluates some
    costs = {subnet: predict(table, space, subnet, manifest.front_end, labels) for subnet in known}
    choice = choose(
        costs,
        lambda subnet: run.result(subnet).mean_average_precision,
        budget,
        method=question.method,
        candidates=question.candidates,
        rng=random.Random(question.seed),
    )
    pick = Pick(
        device=question.device,
        subnet=choice.subnet.id,
        run_name=manifest.name,
        run_hash=run.hash,
        table_hash=table.hash,
        runtime=table.key.runtime,
        precision=question.precision,
        mode=question.mode,
        budget=budget,
        predicted=costs[choice.subnet],
        mean_average_precision=run.result(choice.subnet).mean_average_precision,
        method=question.method,
        seed=question.seed,
        candidates=choice.compared,
        created_utc=datetime.now(UTC).isoformat(),
    )
    target = pick_path(pick, question.out)
    pick.save(target)
    larger = None
    if choice.next_larger:
        subnet, breaks = choice.next_larger
        larger = Larger(subnet.id, run.result(subnet).mean_average_precision, breaks)
    return Answer(pick, target, table, path, len(costs), choice.inside, larger)
