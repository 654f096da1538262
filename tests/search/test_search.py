"""From a device's name to a Pick on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.costs.invented import write_profile
from tests.search.conftest import Place
from toolkit.costs.bounds import excesses
from toolkit.costs.predict import predict
from toolkit.search.search import Answer, Question
from toolkit.search.search import search as search_all
from toolkit.specs.cost import CostTable
from toolkit.specs.device import Budget
from toolkit.specs.errors import InfeasibleError, UserError
from toolkit.specs.pick import Pick, latest_pick
from toolkit.specs.run import Run


@pytest.fixture
def question(place: Place) -> Question:
    """The default search for the board."""
    return Question(("board",), run=place.run, devices=place.devices, out=place.out)


def search(question: Question) -> Answer:
    """The answer for the only device that is asked for."""
    answers = search_all(question)
    for reason in answers.infeasible.values():
        raise InfeasibleError(reason)
    (answer,) = answers.each
    return answer


def test_the_pick_is_the_best_subnet_inside_the_devices_budget(question: Question) -> None:
    """Without bounds the profile's own hold, and nothing inside them scores better."""
    answer = search(question)
    run, budget = Run.open(question.run), Budget(max_core_share=0.013, max_memory_mb=0.45)
    assert answer.pick.budget == budget
    manifest = run.manifest
    inside = [
        run.result(subnet).mean_average_precision
        for subnet in manifest.space.subnets()
        if not excesses(predict(answer.table, manifest.space, subnet, manifest.front_end, 4), budget)
    ]
    assert 0 < len(inside) < len(manifest.space), "the budget of this test binds"
    assert answer.choice.inside == answer.pick.candidates == len(inside)
    assert answer.pick.mean_average_precision == max(inside)
    assert answer.choice.next_larger
    assert answer.choice.next_larger[1]


def test_the_pick_on_disk_names_what_it_rests_on(question: Question) -> None:
    """The written Pick reads back equal, and names the hashes of its Run and table."""
    answer = search(question)
    assert Pick.load(answer.path) == answer.pick
    assert answer.pick.run_hash == Run.open(question.run).hash
    assert answer.pick.table_hash == CostTable.load(answer.table_path).hash
    assert answer.path.is_relative_to(question.out / "picks")


def test_the_latest_pick_of_a_device_is_found(question: Question) -> None:
    """`latest_pick` gives the last search's answer, also when an earlier answer comes again."""
    first, second = search(question), search(replace(question, bounds={"max_core_share": 0.009}))
    assert first.pick.subnet != second.pick.subnet
    assert latest_pick("board", question.out) == (second.path, second.pick)
    again = search(question)
    assert latest_pick("board", question.out) == (first.path, again.pick)


def test_no_pick_names_the_command(question: Question) -> None:
    """Before any search of that very device, `latest_pick` says how to make one."""
    write_profile(question.devices, "board-2")  # type: ignore[arg-type]
    search(question)
    for device in ("board-2", "boar"):
        with pytest.raises(UserError, match=f"python -m toolkit.search --device {device}"):
            latest_pick(device, question.out)


def test_the_random_search_is_the_papers(question: Question) -> None:
    """`random` keeps the best of at most p candidates inside the budget and repeats with its seed."""
    drawn = replace(question, method="random", candidates=5, seed=3)
    answer = search(drawn)
    assert answer.pick.candidates == 5
    assert (answer.pick.method, answer.pick.seed) == ("random", 3)
    assert search(drawn).pick.subnet == answer.pick.subnet
    assert answer.pick.mean_average_precision <= search(question).pick.mean_average_precision


def test_an_always_on_share_does_not_bind_a_clip(question: Question) -> None:
    """In clip mode the profile's share of a core is left out of the budget, and asking for it is an error."""
    answer = search(replace(question, mode="clip", bounds={"max_memory_mb": 100.0}))
    assert answer.pick.budget == Budget(max_memory_mb=100.0)
    assert answer.pick.predicted.core_share is None
    with pytest.raises(UserError, match="--mode stream"):
        search(replace(question, mode="clip", bounds={"max_core_share": 0.5}))


def test_an_infeasible_budget_writes_nothing(question: Question) -> None:
    """When nothing fits there is no Pick, not even a half of one."""
    with pytest.raises(InfeasibleError):
        search(replace(question, bounds={"max_size_mb": 0.001}))
    assert not list(question.out.rglob("*"))


def test_all_constraints_hold_together(question: Question) -> None:
    """Latency, memory, size and parameter bounds hold at once, whichever binds."""
    bounds = {"max_latency_ms": 11.0, "max_memory_mb": 0.44, "max_size_mb": 0.04, "min_params": 20_000}
    pick = search(replace(question, bounds=bounds)).pick
    assert not excesses(pick.predicted, Budget.model_validate(bounds))


def test_a_run_that_was_never_evaluated_is_refused(question: Question, tmp_path: Path) -> None:
    """A Run without evaluations gives one clear error."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for path in question.run.iterdir():  # type: ignore[union-attr]
        (folder / path.name).write_bytes(path.read_bytes() if path.name != "subnets.jsonl" else b"")
    with pytest.raises(UserError, match="no evaluation"):
        search(replace(question, run=folder))
