"""The records that have no file of tests of their own: layers, budgets, picks, recipes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.specs import shipped
from toolkit.specs.cost import Figure, PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Layer
from toolkit.specs.pick import Pick, latest_pick, pick_path
from toolkit.specs.recipe import Recipe

amounts = st.floats(0, 1e6)
figures = st.builds(Figure, value=amounts, kind=st.sampled_from(["measured", "interpolated", "modelled"]))
budgets = st.builds(
    Budget,
    max_latency_ms=st.none() | st.floats(0.1, 1e6),
    max_core_share=st.none() | st.floats(0.001, 64),
    max_params=st.none() | st.integers(1_000, 10**8),
    min_params=st.none() | st.integers(0, 1_000),
)
picks = st.builds(
    Pick,
    device=st.just("rpi4"),
    subnet=st.sampled_from(["25.25-51.51-102", "51.51-51.51-102.102"]),
    run_name=st.text(),
    run_hash=st.text(),
    table_hash=st.text(),
    runtime=st.just("tflite"),
    precision=st.sampled_from(["int8", "fp32"]),
    mode=st.sampled_from(["clip", "stream"]),
    budget=budgets,
    predicted=st.builds(
        PredictedCost,
        latency_ms=figures,
        core_share=st.none() | figures,
        memory_mb=figures,
        file_mb=figures,
        params=st.integers(0, 10**8),
        macs=st.integers(0, 10**12),
    ),
    mean_average_precision=st.floats(0, 1),
    method=st.sampled_from(["random", "exhaustive"]),
    seed=st.integers(0, 99),
    candidates=st.integers(1, 99),
    created_utc=st.datetimes().map(lambda time: time.isoformat() + "+00:00"),
)


@given(pick=picks)
def test_picks_survive_their_file(pick: Pick, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A Pick reads back equal from the place that belongs to it."""
    path = pick_path(pick, tmp_path_factory.getbasetemp() / "out")
    pick.save(path)
    assert Pick.load(path) == pick


@given(made=st.lists(picks, min_size=1, max_size=6, unique_by=lambda pick: pick.created_utc))
def test_the_latest_pick_is_the_last_made(made: list[Pick], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever the order of files, the pick with the latest time is found; the same answer replaces the one before."""
    out = tmp_path_factory.mktemp("out")
    made.sort(key=lambda pick: pick.created_utc)
    for pick in made:
        pick.save(pick_path(pick, out))
    assert latest_pick("rpi4", out) == (pick_path(made[-1], out), made[-1])


def test_a_broken_pick_is_not_passed_over(tmp_path: Path) -> None:
    """A pick file that cannot be read is an error with its name, not a silent fall-back to an older one."""
    (tmp_path / "picks").mkdir()
    (tmp_path / "picks" / "rpi4-int8-stream-x.json").write_text("{")
    with pytest.raises(UserError, match=r"rpi4-int8-stream-x\.json"):
        latest_pick("rpi4", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '{"max_latency_ms": 0}',
        '{"max_latency_ms": NaN}',
        '{"max_latency_ms": "10"}',
        '{"max_memory_mb": -1}',
        '{"max_core_share": 65}',
        '{"max_params": 1.5}',
        '{"min_params": 2, "max_params": 1}',
        '{"max_memory": 1}',
    ],
)
def test_budgets_that_cannot_be_are_refused(text: str) -> None:
    """Zero, negative, NaN, contradictory or misspelt bounds are refused."""
    with pytest.raises(UserError, match="not a good Budget"):
        Budget.from_text(text, origin="budget")


def test_layers_count_by_the_book() -> None:
    """Parameters and multiply-accumulates of each operator, worked out by hand."""
    conv = Layer(operator="conv2d", channels_in=3, channels_out=5, kernel=3, frames=10, bins=8)
    assert (conv.params, conv.macs) == (3 * 3 * 3 * 5 + 5 + 5, 10 * 8 * 3 * 3 * 3 * 5)
    deep = Layer(operator="conv2d", channels_in=6, channels_out=6, kernel=3, stride=2, groups=6, frames=10, bins=8)
    assert (deep.params, deep.macs) == (6 * 9 + 12, 5 * 4 * 9 * 6)
    linear = Layer(operator="linear", channels_in=7, channels_out=4, frames=1, bins=1)
    assert (linear.params, linear.macs) == (7 * 4 + 4, 7 * 4)
    scale = Layer(operator="scale", channels_in=1, channels_out=1, frames=10, bins=8)
    assert (scale.params, scale.macs) == (2 * 8, 0)


@pytest.mark.parametrize("path", sorted(shipped.RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_good(path: Path) -> None:
    """Every recipe that travels with the toolkit reads, bears its file's name and survives its own JSON."""
    recipe = Recipe.load(path)
    assert recipe.name == path.stem
    assert Recipe.from_text(recipe.to_json(), origin="memory") == recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {"space": "ew-ed-222"},
        {"crop_frames": 255},
        {"generated": {"Dog": 5}},
        {"augmentation": {"mix_probability": 2}},
        {"subnets_per_step": 0},
    ],
)
def test_recipes_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    """An unknown space, a crop that pooling cannot halve, a sound nobody can generate: each is one clear error."""
    with pytest.raises(UserError, match=next(iter(wrong))):
        Recipe.from_text(json.dumps({"name": "own"} | wrong), origin="own.json")
