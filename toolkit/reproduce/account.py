"""Sections of the report that hold no result: what was run, what differs from the paper, labels, what is missing.

Proved by tests/reproduce/test_report.py.
"""

from __future__ import annotations

from toolkit.reproduce import paper
from toolkit.reproduce.bootstrap import RESAMPLES
from toolkit.reproduce.done import Done
from toolkit.reproduce.markdown import markdown_table
from toolkit.reproduce.mixtures import EVENT_LEVEL_DB, MOST_EVENTS
from toolkit.reproduce.plan import SIZES, size_subnet
from toolkit.search.methods import PAPER_CANDIDATES
from toolkit.search.paper import BUDGETS_M, PAPER_FULL_M, TOLERANCE_M
from toolkit.specs.recipe import Recipe
from toolkit.specs.shipped import RECIPES
from toolkit.specs.space import CLIP_SECONDS
from toolkit.specs.unit import DataFacts, LabelFacts


def opening(done: Done, recipe: Recipe, facts: DataFacts) -> str:
    """Title, what was run on what, and how to read the figures."""
    found = done.results.values()
    steps = sum(result.clip_steps for result in found)
    hours = sum(result.training_seconds for result in found) / 3600
    evaluation_hours = sum(result.evaluation_seconds for result in found) / 3600
    seeds = sorted({result.seed for result in found})
    tested = sum(each.test_mixtures > 0 for each in facts.labels.values())
    total = facts.total
    crops = f"crops of {_crop_seconds(recipe):.2f} s, {recipe.batch_size} crops a step"
    picked = f"{total.validation_mixtures:,} of the validation recordings, on which subnets are picked"
    reported = f"{total.test_mixtures:,} of the test recordings, on which everything is reported"
    rows = {
        "units": f"{len(found)} of {len(done.units)} done, seeds {', '.join(map(str, seeds))}",
        "recipe": f"`{recipe.name}`: CNN10 of base width {recipe.base_width}, {crops}",
        "recordings": f"{facts.summary} Data hash `{facts.data_hash}`",
        "labels": f"{len(facts.labels)}, of which {tested} are tested",
        "test split": f"{total.test_clips:,} recordings of {total.test_groups:,} sources that no unit has heard",
        "mixtures": f"{picked}, and {reported}",
        "work": f"{steps:,} clip-steps in {hours:.1f} hours, and {evaluation_hours:.1f} hours of evaluation",
        "machine": "; ".join(sorted({result.machine for result in found})),
        "toolkit": ", ".join(sorted({result.toolkit_version for result in found})),
    }
    lines = "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())])
    return f"# The paper's tables and figures with recipe `{recipe.name}`\n\n{lines}\n\n{_HOW_TO_READ}"


_HOW_TO_READ = f"""mAP is in percent, the mean over the labels that are tested. ± is the standard deviation over seeds:
how much trainings differ. The 95 % interval is of the mean over the seeds, from {RESAMPLES:,} reweightings of the test
recordings: how much other recordings would change it. Reweighting shifts mAP itself a little, so its intervals are not
centred. A margin is taken seed by seed and reweighting by reweighting, which all but cancels that shift.
`-` stands for what was not measured."""


def different(recipe: Recipe, label_count: int) -> str:
    """What was done in another way than in the paper."""
    space = recipe.search_space()
    full = space.params(space.largest, label_count, recipe.front_end)
    shares = [space.params(size_subnet(space, size), label_count, recipe.front_end) / full for size in SIZES]
    steps = [
        [
            name,
            f"{stage.steps:,}",
            f"{stage.steps * recipe.batch_size:,}",
            f"{paper.STEPS[name]:,}",
            f"{paper.STEPS[name] * paper.BATCH:,}",
        ]
        for name, stage in recipe.stages.items()
        if name in paper.STEPS
    ]
    own = ", ".join(f"{share:.0%}" for share in shares)
    theirs = ", ".join(f"{told['kd'].params_m}M" for told in paper.TABLE_1.values())
    least, most = EVENT_LEVEL_DB
    return f"""## What was done differently

* **Scale.** Base width {recipe.base_width} where the paper has {paper.BASE_WIDTH}, crops of
  {_crop_seconds(recipe):.2f} s where it has {paper.CROP_SECONDS} s, and fewer steps:

{markdown_table(["stage", "steps", "clip-steps", "paper: steps", "clip-steps"], steps)}

* **Optimizer.** AdamW, {recipe.schedule} learning rate of {recipe.learning_rate:g}, weight decay
  {recipe.weight_decay:g}; the paper has Adam at a constant 0.001. All stages augment alike: crops are mixed, set over
  backgrounds, changed in level and band, and masked.
* **Data.** {label_count} labels of real recordings where the paper has {paper.LABELS} of AudioSet. What is evaluated is
  multi-label by construction: {CLIP_SECONDS} s with 1 to {MOST_EVENTS} recordings at known times, the second and third
  {-least:g} dB weaker to {most:g} dB louder than the first, over a recorded background.
* **Splits.** Where the data has no test split, it is carved from the training part by source recording.
* **Sizes.** Budgets are the paper's shares of the full subnet: {BUDGETS_M[0]}M of {PAPER_FULL_M}M is
  {BUDGETS_M[0] / PAPER_FULL_M:.0%} of {full / 1e6:.3f}M here. The models that are trained by themselves have
  {own} of it. The paper writes {theirs} for them; by arithmetic its first has 1.17M.
* **Search.** At most {PAPER_CANDIDATES} candidates within ± {TOLERANCE_M}M, none of them twice; where a space has fewer
  there, all of them.
* **Batch norm.** Statistics are computed anew for each subnet on training crops, for all methods alike.
* **Seeds.** Table 1 has several. Table 2 has one, and so have the figures but for [2,2,X]. All share one teacher."""


def labels_text(facts: DataFacts) -> str:
    """How much there is of each label."""
    head = [
        "label",
        "trained on",
        "validated on",
        "tested on",
        "sources tested",
        "validation mixtures",
        "test mixtures",
    ]
    rows = [[name, *_counts(each)] for name, each in facts.labels.items()]
    rows += [["(background)", *_counts(facts.background)], ["(all, each once)", *_counts(facts.total)]]
    return f"## Recordings by label\n\n{markdown_table(head, rows)}"


def missing(done: Done, recipe: Recipe) -> str:
    """The units that are not done, and the command that makes them."""
    shipped = (RECIPES / f"{recipe.name}.toml").exists()
    command = f"python -m toolkit.reproduce --recipe {recipe.name if shipped else 'FILE'} --data DIR"
    names = ", ".join(f"`{unit.name}`" for unit in done.missing)
    how = f"`{command} --unit NAME` makes one of them with what it needs, without `--unit` all are made"
    return f"## What is missing\n\n{how}; give `--out` again if this report had one. Not done: {names}."


def _counts(facts: LabelFacts) -> list[str]:
    return [str(value) for value in facts.model_dump().values()]


def _crop_seconds(recipe: Recipe) -> float:
    return recipe.crop_frames * recipe.front_end.hop_samples / recipe.front_end.sample_rate_hz
