"""The report says what the units say, beside the paper's numbers, and names what is not there."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.image import imread

from tests.reproduce.invented import LABELS, PAPER_ORDER, RECIPE, UNITS, invent
from toolkit.reproduce import paper
from toolkit.reproduce.done import Done
from toolkit.reproduce.markdown import order_sentence
from toolkit.reproduce.plan import MAIN_SPACE, SEEDS, SIZES, SPACES, size_subnet
from toolkit.reproduce.report import assemble
from toolkit.reproduce.results import DATA, Results
from toolkit.reproduce.tables import BASELINE, KD, OFA, OFA_SAME, nearest_budget, table_1, table_2
from toolkit.search.paper import BUDGETS_M, PAPER_FULL_M
from toolkit.specs.errors import MismatchError, UserError
from toolkit.specs.unit import TestScore

SMALLEST_UNITS = [
    unit for unit in UNITS if unit.ratio == SIZES[0] or (unit.stage, unit.space) == ("supernet", MAIN_SPACE)
]
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of all units; not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "notes.md").write_text("KD was *hard* to beat.\n", encoding="utf-8")
    return assemble(invent(folder), UNITS, folder).parent


def text(folder: Path) -> str:
    """The report."""
    return (folder / "report.md").read_text(encoding="utf-8")


def rows(folder: Path, name: str) -> Rows:
    """A CSV file."""
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def done(folder: Path) -> Done:
    """What is done in a folder."""
    return Done(UNITS, Results(folder / "units", RECIPE).all(UNITS))


def scores(folder: Path) -> dict[str, dict[str, TestScore]]:
    """Test scores by unit and subnet."""
    return {
        name: {each.subnet: each.test for each in result.evaluations if each.test is not None}
        for name, result in done(folder).results.items()
    }


def at_size(folder: Path, size: float, seed: int) -> dict[str, TestScore]:
    """Test scores of the four models of a size and a seed, looked up in the units by name."""
    subnet, found = size_subnet(RECIPE.search_space(), size).id, scores(folder)
    supernet = f"supernet-{MAIN_SPACE}-{seed}"
    budget = {0.4: "0.8", 0.6: "1.8", 0.8: "3.8"}[size]  # as the paper's table 1 has them side by side
    return {
        BASELINE: found[f"baseline-{size}-{seed}"][subnet],
        KD: found[f"kd-{size}-{seed}"][subnet],
        OFA: found[supernet][done(folder).results[supernet].picks[budget]],
        OFA_SAME: found[supernet][subnet],
    }


def test_table_1_holds_means_spreads_and_intervals(whole: Path) -> None:
    """Mean and standard deviation over the seeds, the interval of the mean over the seeds, percent of the teacher."""
    listed = {(row["model"], row["width_ratio"]): row for row in rows(whole, "table1")}
    teacher = scores(whole)["teacher"][RECIPE.search_space().largest.id].mean_average_precision
    assert float(listed["teacher CNN10", ""]["map_percent"]) == pytest.approx(100 * teacher, abs=1e-3)
    for size in SIZES:
        models = [at_size(whole, size, seed) for seed in SEEDS]
        for name in models[0]:
            values = [100 * each[name].mean_average_precision for each in models]
            interval = np.percentile(100 * np.mean([each[name].resampled() for each in models], axis=0), (2.5, 97.5))
            row = listed[name, str(size)]
            assert float(row["map_percent"]) == pytest.approx(np.mean(values), abs=1e-3)
            assert float(row["map_percent_spread"]) == pytest.approx(np.std(values, ddof=1), abs=1e-3)
            assert [float(row[f"map_percent_{end}"]) for end in ("low", "high")] == pytest.approx(interval, abs=1e-3)
            assert float(row["teacher_percent"]) == pytest.approx(np.mean(values) / teacher, abs=1e-2)
            assert f"| {name} | {size} | {int(row['params'].split()[0]) / 1e6:.3f} | {np.mean(values):.1f} ±" in text(
                whole
            )


def test_margins_are_taken_seed_by_seed_and_resample_by_resample(whole: Path) -> None:
    """The interval of a margin is that of the differences, which is narrower than either model's own."""
    listed = {(row["margin"], row["width_ratio"]): row for row in rows(whole, "margins") if row["table"] == "1"}
    widths = {
        (row["model"], row["width_ratio"]): float(row["map_percent_high"]) - float(row["map_percent_low"])
        for row in rows(whole, "table1")
    }
    for size in SIZES:
        models = [at_size(whole, size, seed) for seed in SEEDS]
        for better, worse in ((OFA, KD), (OFA_SAME, KD), (KD, BASELINE)):
            row = listed[f"{better} - {worse}", str(size)]
            each = [100 * (m[better].mean_average_precision - m[worse].mean_average_precision) for m in models]
            moved = [np.array(m[better].resampled()) - np.array(m[worse].resampled()) for m in models]
            low, high = np.percentile(100 * np.mean(moved, axis=0), (2.5, 97.5))
            assert float(row["points"]) == pytest.approx(np.mean(each), abs=1e-3)
            assert (float(row["points_low"]), float(row["points_high"])) == pytest.approx((low, high), abs=1e-3)
            assert row["points_by_seed"] == " ".join(f"{seed}:{one:.3f}" for seed, one in zip(SEEDS, each, strict=True))
            assert high - low < min(widths[better, str(size)], widths[worse, str(size)])


BOTH = "both for the subnet that was searched and for the architecture that KD and the baseline have."


@pytest.mark.parametrize(
    ("kd", "baseline", "told"),
    [
        (-0.03, -0.06, "holds in all 3 seeds"),
        (0.02, -0.06, "does not hold (means over 3 seeds: KD > OFA > baseline; the paper's order in 0 of them)"),
        (0.02, 0.03, "does not hold (means over 3 seeds: baseline > KD > OFA; the paper's order in 0 of them)"),
    ],
)
def test_one_sentence_says_whether_the_order_holds(tmp_path: Path, kd: float, baseline: float, told: str) -> None:
    """OFA > KD > baseline at the smallest size: in how many seeds, or which order there is instead."""
    invent(tmp_path, SMALLEST_UNITS, PAPER_ORDER | {"kd": kd, "baseline": baseline})
    orders = table_1(done(tmp_path), RECIPE, len(LABELS)).smallest
    assert order_sentence(orders) == f"At the smallest size OFA > KD > baseline {told}, {BOTH}"


def test_the_order_is_counted_seed_by_seed(tmp_path: Path) -> None:
    """A KD model that is the best in one seed leaves the order of the means as it was, and that is said."""
    results = invent(tmp_path, SMALLEST_UNITS)
    best = next(unit for unit in UNITS if unit.name == "kd-0.4-1")
    better = invent(tmp_path / "other", [best], PAPER_ORDER | {"kd": 0.01})
    shutil.copy(better.path(best), results.path(best))
    orders = table_1(done(tmp_path), RECIPE, len(LABELS)).smallest
    assert {order.ofa: order.holds_in for order in orders} == {OFA: (0, 2), OFA_SAME: (0, 2)}
    told = "holds on the mean over 3 seeds and in 2 of them"
    assert order_sentence(orders) == f"At the smallest size OFA > KD > baseline {told}, {BOTH}"


def test_the_sentence_tells_the_kinds_of_ofa_apart(tmp_path: Path) -> None:
    """Where the searched subnet and the same architecture fare differently, each is said for itself."""
    invent(tmp_path, SMALLEST_UNITS)
    searched, same = table_1(done(tmp_path), RECIPE, len(LABELS)).smallest
    worse = replace(same, seeds=(0,), holds_in=(), by_mean=(KD, "OFA", BASELINE))
    unknown = replace(same, seeds=(), holds_in=(), by_mean=())
    assert "; it is not known for the architecture" in order_sentence([searched, unknown])
    assert order_sentence([searched, worse]) == (
        "At the smallest size OFA > KD > baseline holds in all 3 seeds for the subnet that was searched; it does not "
        "hold (one seed: KD > OFA > baseline) for the architecture that KD and the baseline have."
    )


def test_the_searched_subnet_stands_beside_the_nearest_size() -> None:
    """As in the paper's table 1, where 0.9M, 1.8M and 3.6M stand beside 1.0M, 2.1M and 3.5M."""
    beside = {size: nearest_budget(RECIPE, size, len(LABELS)) for size in SIZES}
    assert {size: paper.TABLE_2[budget].params_m for size, budget in beside.items()} == {
        size: told["ofa"].params_m for size, told in paper.TABLE_1.items()
    }


def test_table_2_holds_what_tuning_gives(whole: Path) -> None:
    """For each budget the searched subnet, both tunings and the training from scratch, and their differences."""
    found, supernet = scores(whole), done(whole).results[f"supernet-{MAIN_SPACE}-0"]
    listed = {(row["model"], float(row["budget_m"])): row for row in rows(whole, "table2")}
    gains = {(row["margin"], row["budget_m"]): row for row in rows(whole, "margins") if row["table"] == "2"}
    for budget in BUDGETS_M:
        pick = supernet.picks[str(budget)]
        stages = {"short": "fine-tune-short", "long": "fine-tune", "init": "init"}
        models = {name: found[f"{stage}-{budget}M"][pick] for name, stage in stages.items()}
        models["searched"] = found[supernet.unit][pick]
        for name, test in models.items():
            row = listed[name, budget]
            assert float(row["map_percent"]) == pytest.approx(100 * test.mean_average_precision, abs=1e-3)
            assert int(row["params"]) == supernet.of(pick).params
        for pair in ("short - searched", "long - searched", "long - init"):
            one, two = (models[name] for name in pair.split(" - "))
            wanted = 100 * (one.mean_average_precision - two.mean_average_precision)
            assert float(gains[pair, str(budget)]["points"]) == pytest.approx(wanted, abs=1e-3)


def test_figure_3_holds_the_pick_of_each_space_and_budget(whole: Path) -> None:
    """Parameters and test figures of what was picked, a point for each space and budget, and of the main space more."""
    listed = {(row["space"], row["budget_m"], row["seed"]): row for row in rows(whole, "figure3")}
    seeds = {space: SEEDS if space == MAIN_SPACE else SEEDS[:1] for space in SPACES}
    assert len(listed) == sum(len(each) * len(BUDGETS_M) for each in seeds.values())
    full = RECIPE.search_space().params(RECIPE.search_space().largest, len(LABELS))
    for (space, budget, seed), row in listed.items():
        result = done(whole).results[f"supernet-{space}-{seed}"]
        picked = result.of(result.picks[budget])
        assert picked.test is not None
        assert (row["subnet"], int(row["params"])) == (picked.subnet, picked.params)
        assert float(row["test_map_percent"]) == pytest.approx(100 * picked.test.mean_average_precision, abs=1e-3)
        assert abs(PAPER_FULL_M * picked.params / full - float(budget)) <= 0.2


def test_figure_4_holds_every_candidate(whole: Path) -> None:
    """Each candidate's figure on validation, one of each budget marked as picked: the best."""
    listed = rows(whole, "figure4")
    for space in SPACES:
        result = done(whole).results[f"supernet-{space}-0"]
        for budget, candidates in result.candidates.items():
            own = [row for row in listed if (row["space"], row["seed"], row["budget_m"]) == (space, "0", budget)]
            assert [row["subnet"] for row in own] == list(candidates)
            best = max(own, key=lambda row: float(row["validation_map_percent"]))
            assert [row["subnet"] for row in own if row["picked"] == "1"] == [best["subnet"]]


def test_figures_are_whole_pictures(whole: Path) -> None:
    """PNG and SVG of both, large enough to be read, and neither says when it was drawn."""
    for number in (3, 4):
        height, width, _ = imread(whole / f"figure{number}.png").shape
        assert (width, height) == (1350, 630)
        drawn = ET.parse(whole / f"figure{number}.svg").getroot()  # noqa: S314 (our own file)
        assert drawn.tag.endswith("svg")
        assert not [each for each in drawn.iter() if each.tag.endswith("}date")]
        assert f"(figure{number}.png)" in text(whole)


def test_the_report_opens_with_what_was_run(whole: Path) -> None:
    """Recipe, data, labels, splits, mixtures, machine, clip-steps and hours stand before the first table."""
    head = text(whole).partition("## Table 1")[0]
    clip_steps = sum(RECIPE.stage(unit.stage).steps * RECIPE.batch_size for unit in UNITS)
    for part in (
        f"{len(UNITS)} of {len(UNITS)} done, seeds 0, 1, 2",
        "`compact`: CNN10 of base width 16, crops of 2.56 s, 32 crops a step",
        "160 recordings to train and 40 to validate",
        "4, of which 4 are tested",
        "8 recordings of 6 sources",
        "30 of the validation recordings",
        "50 of the test recordings",
        f"{clip_steps:,} clip-steps in {len(UNITS) / 10:.1f} hours",
        "an invented processor, 2 threads",
    ):
        assert part in head


def test_notes_of_a_person_are_part_of_the_report(whole: Path, tmp_path: Path) -> None:
    """Where `notes.md` lies its text is the section "What was found"; where there is none there is no such section."""
    assert "\n## What was found\n\nKD was *hard* to beat.\n\n## What was done differently\n" in text(whole)
    assemble(invent(tmp_path, UNITS[:1]), UNITS, tmp_path)
    assert "What was found" not in text(tmp_path)


def test_the_same_units_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    """Assembled again elsewhere, every file is the same to the byte, and no half-written file is left."""
    shutil.copytree(whole, tmp_path / "again")
    for path in (tmp_path / "again").glob("[rtfm]*.*"):
        if path.name != "notes.md":
            path.unlink()
    assemble(Results(tmp_path / "again" / "units", RECIPE), UNITS, tmp_path / "again")
    files = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir() if path.is_file()} == files
    figures = {f"figure{number}.{kind}" for number in (3, 4) for kind in ("csv", "png", "svg")}
    assert set(files) == {"report.md", "notes.md", DATA, "table1.csv", "table2.csv", "margins.csv", *figures}


def test_what_is_not_done_is_named_and_not_filled_in(tmp_path: Path) -> None:
    """Every missing unit stands in the report with the command that makes it; its cells are empty in table and CSV."""
    some = [unit for unit in UNITS if unit.name in ("teacher", "baseline-0.4-0", "baseline-0.4-1", "kd-0.4-1")]
    assemble(invent(tmp_path, some), UNITS, tmp_path)
    body, _, missing = text(tmp_path).partition("## What is missing")
    assert "`python -m toolkit.reproduce --recipe compact --data DIR --unit NAME`" in missing
    assert all((f"`{unit.name}`" in missing) == (unit not in some) for unit in UNITS)
    listed: Mapping[tuple[str, str], dict[str, str]] = {
        (row["model"], row["width_ratio"]): row for row in rows(tmp_path, "table1")
    }
    assert listed[OFA, "0.4"]["map_percent"] == listed[KD, "0.6"]["map_percent"] == ""
    assert f"| {OFA} | 0.4 | - | - | - | - | 0 | 0.9 | 26.6 | 89.9 |" in body
    assert [row["points_by_seed"].split(":")[0] for row in rows(tmp_path, "margins")][:3] == ["", "", "1"]
    assert "at the smallest size is not known yet: its units are not done" in body
    assert rows(tmp_path, "figure3") == rows(tmp_path, "figure4") == []
    assert not list(tmp_path.glob("figure*.png"))
    assert "figure3.png" not in body


def test_a_whole_report_misses_nothing(whole: Path) -> None:
    """Where all units are done no command is left to be run."""
    assert "What is missing" not in text(whole)


def test_a_report_needs_units_of_one_recipe_and_one_data(tmp_path: Path) -> None:
    """Nothing done, facts of other data, and results of another recipe each end in an error that says so."""
    with pytest.raises(UserError, match="no unit is done"):
        assemble(Results(tmp_path / "units", RECIPE), UNITS, tmp_path)
    results = invent(tmp_path, UNITS[:2])
    facts = tmp_path / DATA
    facts.write_text(facts.read_text().replace("some data", "other data"))
    with pytest.raises(MismatchError, match="is of other data"):
        assemble(results, UNITS, tmp_path)
    other = Results(tmp_path / "units", RECIPE.model_copy(update={"batch_size": 16}))
    with pytest.raises(MismatchError, match="another recipe"):
        assemble(other, UNITS, tmp_path)


def test_the_papers_numbers_agree_with_each_other() -> None:
    """Percent of the teacher is mAP over the teacher's; table 2's subnets are table 1's; figure 3 draws table 2's."""
    for told in paper.TABLE_1.values():
        for model in told.values():
            wanted = 100 * model.map_percent / paper.TEACHER.map_percent
            assert model.teacher_percent == pytest.approx(wanted, abs=0.1)
        assert (told["ofa"].params_m, told["ofa"].map_percent) in paper.FIGURE_3[MAIN_SPACE]
    assert tuple(paper.TABLE_1) == SIZES
    assert tuple(paper.TABLE_2) == BUDGETS_M


def test_table_2_is_of_the_seed_that_was_tuned(whole: Path) -> None:
    """The searched subnet beside its tunings is their own seed's, not another's."""
    for tuning in table_2(done(whole)):
        assert all(each is not None and tuple(each.by_seed) == SEEDS[:1] for each in tuning.map_percent.values())
