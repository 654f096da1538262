"""Which subnets a search scores: all, the paper's random few, or those that evolution breeds. No files, no device.

Each method scores a bounded number of subnets, so it ends; costs are looked up and are free. What comes of the scores,
the front and the pick, is `choose`'s. Proved by tests/search/test_methods.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from toolkit.costs.bounds import shares
from toolkit.costs.predict import Costs, Numbers
from toolkit.search.genes import Genome
from toolkit.specs.device import Budget
from toolkit.specs.errors import UserError
from toolkit.specs.space import SearchSpace, Subnet

Method = Literal["exhaustive", "random", "evolution"]
Scores = dict[Subnet, float]
PAPER_CANDIDATES = 25
"""Source: Lin et al. (2023), section 2.4."""
EVALUATIONS = 60
"""Of evolution."""
POPULATION = 12
_PATIENCE = 50
"""Subnets that evolution may breed for each that it scores: others are outside the budget, or were bred before."""


@dataclass(frozen=True)
class Problem:
    """What is searched.

    Args:
        space: that evolution breeds in.
        subnets: to choose among: all of a space, a sample of one that is too large, or those that a Run knows.
        cost: predicted costs of some subnets.
        score: validation mAP of some subnets.
        budget: bounds that all hold together.
    """

    space: SearchSpace
    subnets: Sequence[Subnet]
    cost: Callable[[Sequence[Subnet]], Costs]
    score: Callable[[Sequence[Subnet]], Mapping[Subnet, float]]
    budget: Budget

    @property
    def extent(self) -> str:
        """How many subnets are looked at, for people."""
        looked, whole = len(self.subnets), len(self.space)
        return f"{looked:,} subnets" if looked == whole else f"{looked:,} subnets looked at (of {whole:,})"

    @cached_property
    def costs(self) -> Costs:
        """Of `subnets`."""
        return self.cost(self.subnets)

    @cached_property
    def shares(self) -> Numbers:
        """By how much each of `subnets` breaks each bound."""
        return shares(self.costs, self.budget)

    @property
    def inside(self) -> list[Subnet]:
        """Those of `subnets` that keep all bounds."""
        return [subnet for subnet, share in zip(self.subnets, self.shares, strict=True) if not share.any()]


def scored(problem: Problem, method: Method, count: int | None, seed: int) -> Scores:
    """The subnets that a method scores, and their scores.

    Args:
        problem: what is searched.
        method: `exhaustive` scores every subnet, `random` a sample of those inside the budget without replacement,
            `evolution` breeds inside it.
        count: how many are scored at most by the other two; the paper's number or `EVALUATIONS` if none is given.
        seed: of all that is drawn.

    Raises:
        UserError: Optuna, which evolution needs, is not installed.
    """
    if method == "exhaustive":
        return dict(problem.score(problem.subnets))
    if method == "random":
        inside = problem.inside
        drawn = random.Random(seed).sample(inside, min(count or PAPER_CANDIDATES, len(inside)))
        return dict(problem.score(drawn))
    return evolve(problem, count or EVALUATIONS, seed)


def evolve(problem: Problem, evaluations: int, seed: int) -> Scores:
    """NSGA-II over accuracy, latency and memory.

    The ends of the space are in its first generation, and one subnet inside the budget if `subnets` hold any: so it
    never ends without. Where they are the whole space and no more are inside than may be scored, it scores those.
    A generation is scored at once, so that its subnets share their prefixes. What is outside the budget is never
    scored: its costs are known, and by how much it breaks the bounds orders it.
    Source: K. Deb et al., NSGA-II (2002), in Optuna.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        lacking = "--method evolution needs optuna, which is not installed: pip install 'aec-toolkit[search]'"
        raise UserError(lacking) from None

    if len(problem.subnets) == len(problem.space) and len(problem.inside) <= evaluations:
        return dict(problem.score(problem.inside))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=sampler)
    genome = Genome(problem.space)
    for start in dict.fromkeys([problem.space.smallest, problem.space.largest, *problem.inside[:1]]):
        study.enqueue_trial(genome.genes(start))
    scores: Scores = {}
    for _ in range(_PATIENCE * evaluations // POPULATION + 1):
        trials = [study.ask() for _ in range(POPULATION)]
        bred = [
            genome.subnet({name: trial.suggest_int(name, 0, size - 1) for name, size in genome.sizes.items()})
            for trial in trials
        ]
        costs = problem.cost(bred)
        broken = shares(costs, problem.budget).sum(axis=1)
        fresh = [one for one, excess in zip(bred, broken, strict=True) if not excess and one not in scores]
        scores |= problem.score(list(dict.fromkeys(fresh))[: evaluations - len(scores)])
        for at, (trial, one) in enumerate(zip(trials, bred, strict=True)):
            trial.set_constraint("budget", float(broken[at]))
            values = scores.get(one, 0.0), float(costs.latency_ms[at]), float(costs.memory_mb[at])
            study.tell(trial, values)
        if len(scores) >= evaluations:
            break
    return scores
