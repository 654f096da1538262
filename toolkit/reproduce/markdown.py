"""Tables and sentences of the report as Markdown. Proved by tests/reproduce/test_report.py."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from toolkit.reproduce import paper
from toolkit.reproduce.curves import Box, Point, space_name, summaries
from toolkit.reproduce.estimates import Estimate
from toolkit.reproduce.plan import SPACES
from toolkit.reproduce.tables import Model, Order, Table1, Tuning
from toolkit.search.paper import BUDGETS_M
from toolkit.specs.recipe import Recipe

NOT_DONE = "-"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns but the first stand to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_1_text(table: Table1) -> str:
    """Table 1 beside the paper's, the margins, and the sentence on the order at the smallest size."""
    head = ["model", "width ratio", "params (M)", "mAP (%)", "95 % interval", "% of teacher", "seeds"]
    told = ["paper: params (M)", "paper: mAP (%)", "paper: % of teacher"]
    rows = [_model(table, model) for model in (table.teacher, *table.models)]
    margins = [
        [
            margin.name,
            str(margin.size),
            _with_spread(margin.points, signed=True),
            " ".join(f"{value:+.1f}" for value in margin.points.by_seed.values()) if margin.points else NOT_DONE,
            _interval(margin.points, signed=True),
            _number(margin.paper_points, signed=True),
        ]
        for margin in table.margins
    ]
    columns = ["margin", "width ratio", "points of mAP", "each seed", "95 % interval", "paper"]
    return "\n\n".join(
        [
            markdown_table([*head, *told], rows),
            f"**{order_sentence(table.smallest)}**",
            markdown_table(columns, margins),
        ]
    )


def order_sentence(orders: Sequence[Order]) -> str:
    """Whether OFA > KD > baseline holds at the smallest size, and in how many seeds."""
    if not any(order.seeds for order in orders):
        return "Whether OFA > KD > baseline holds at the smallest size is not known yet: its units are not done."
    searched, same = (_holds(order) for order in orders)
    kinds = "the subnet that was searched", "the architecture that KD and the baseline have"
    if searched == same:
        return f"At the smallest size OFA > KD > baseline {same}, both for {kinds[0]} and for {kinds[1]}."
    return f"At the smallest size OFA > KD > baseline {searched} for {kinds[0]}; it {same} for {kinds[1]}."


def _holds(order: Order) -> str:
    seeds, holds = len(order.seeds), len(order.holds_in)
    if not seeds:
        return "is not known"
    if holds == seeds:
        return f"holds in all {seeds} seeds" if seeds > 1 else "holds in the one seed"
    if order.holds_on_mean:
        return f"holds on the mean over {seeds} seeds and in {holds} of them"
    means = " > ".join(order.by_mean)
    if seeds == 1:
        return f"does not hold (one seed: {means})"
    return f"does not hold (means over {seeds} seeds: {means}; the paper's order in {holds} of them)"


def table_2_text(tunings: Sequence[Tuning], recipe: Recipe) -> str:
    """Table 2 beside the paper's, and what tuning gains."""
    short, long, init = (recipe.stage(name).steps for name in ("fine-tune-short", "fine-tune", "init"))
    columns = [f"+{short:,} steps", f"+{long:,} steps", f"Init, {init:,} steps"]
    head = ["params (M)", "OFA", *columns, "paper: params (M)", "OFA", "+10K", "+100K", "Init, 100K"]
    rows = [
        [
            f"{tuning.params / 1e6:.3f}" if tuning.params else NOT_DONE,
            *(_number(each.mean if each else None) for each in tuning.map_percent.values()),
            str(tuning.paper.params_m),
            *map(_number, tuning.paper.map_percent.values()),
        ]
        for tuning in tunings
    ]
    gains = [
        [
            f"{tuning.paper.params_m}",
            *(
                f"{_with_spread(each, signed=True)} ({_interval(each, signed=True)})" if each else NOT_DONE
                for each in tuning.gains.values()
            ),
        ]
        for tuning in tunings
    ]
    gained = ["paper: params (M)", f"{columns[0]} - OFA", f"{columns[1]} - OFA", f"{columns[1]} - Init"]
    return f"{markdown_table(head, rows)}\n\n{markdown_table(gained, gains)}"


def figure_3_text(points: Sequence[Point], seed: int) -> str:
    """What figure 3 shows, by space and budget."""
    head = ["space", *(f"{budget}M" for budget in BUDGETS_M)]
    rows = []
    for space in SPACES:
        own = {point.budget: point for point in points if (point.space, point.seed) == (space, seed)}
        cells = [
            f"{each.test_percent.mean:.1f} ({_interval(each.test_percent)}), {each.params / 1e6:.3f}M"
            if each
            else NOT_DONE
            for each in map(own.get, BUDGETS_M)
        ]
        rows.append([space_name(space), *cells])
    return f"{markdown_table(head, rows)}\n\nIn the paper {paper.FIGURE_3_WORDS}."


def figure_4_text(boxes: Sequence[Box], seed: int) -> str:
    """What figure 4 shows: mean and standard deviation of the candidates, and what they come to."""
    head = ["space", *(f"{budget}M" for budget in BUDGETS_M)]
    rows = []
    for space in SPACES:
        own = {box.budget: box.percents for box in boxes if (box.space, box.seed) == (space, seed)}
        rows.append([space_name(space), *(_candidates(own.get(budget, ())) for budget in BUDGETS_M)])
    told = [markdown_table(head, rows)]
    if len(found := summaries(boxes, seed)) > 1:
        best, widest = max(found, key=lambda each: each.mean), max(found, key=lambda each: each.spread)
        worst = min(found, key=lambda each: each.mean)
        told.append(
            f"Over all budgets {space_name(best.space)} has the highest mean here ({best.mean:.1f}), "
            f"{space_name(worst.space)} the lowest ({worst.mean:.1f}) and {space_name(widest.space)} the largest "
            f"spread ({widest.spread:.1f})."
        )
    return "\n\n".join([*told, f"In the paper {paper.FIGURE_4_WORDS}."])


def _candidates(percents: Sequence[float]) -> str:
    if not percents:
        return NOT_DONE
    spread = f" ± {statistics.stdev(percents):.1f}" if len(percents) > 1 else ""
    return f"{statistics.mean(percents):.1f}{spread} of {len(percents)}"


def _model(table: Table1, model: Model) -> list[str]:
    told = model.paper
    return [
        model.name,
        NOT_DONE if model.size is None else str(model.size),
        NOT_DONE if model.params_m is None else f"{model.params_m:.3f}",
        _with_spread(model.map_percent),
        _interval(model.map_percent),
        _number(table.teacher_percent(model)),
        str(len(model.map_percent.by_seed)) if model.map_percent else "0",
        *([_number(told.params_m), _number(told.map_percent), _number(told.teacher_percent)] if told else [""] * 3),
    ]


def _with_spread(found: Estimate | None, *, signed: bool = False) -> str:
    if found is None:
        return NOT_DONE
    return _number(found.mean, signed=signed) + ("" if found.spread is None else f" ± {found.spread:.1f}")


def _interval(found: Estimate | None, *, signed: bool = False) -> str:
    if found is None:
        return NOT_DONE
    return f"{_number(found.low, signed=signed)} to {_number(found.high, signed=signed)}"


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return NOT_DONE
    return f"{value:+.1f}" if signed else f"{value:.1f}"
