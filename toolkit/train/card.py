"""The model card of a Run: what it was trained on, how, how well each label does, and what it must not be used for.

Proved by tests/train/test_train.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from toolkit.audio.clip import Clip
from toolkit.specs.recipe import SAMPLED, Recipe
from toolkit.specs.run import CREDITS, LabelDecision, RunManifest, SubnetResult
from toolkit.specs.space import Subnet
from toolkit.train.examples import Examples


def model_card(manifest: RunManifest, results: list[SubnetResult], examples: Examples, streams: str) -> str:
    """Markdown; every figure in it was measured by the training that writes it.

    `streams` says what the decisions were fitted on, in whole sentences.
    """
    recipe, space = manifest.recipe, manifest.space
    params = {
        result.subnet: space.params(Subnet.parse(result.subnet), len(manifest.labels), manifest.front_end)
        for result in results
    }
    maps = sorted(result.mean_average_precision for result in results)
    band_limited = recipe.augmentation.band_limit_probability
    generated = Counter(example.labels[0] for example in examples.train if example.generated)
    lines = [
        f"# Model card: {manifest.name}",
        "",
        (
            f"A weight-sharing CNN10 supernet ({space.name}, base width {space.base_width}, {len(params)} subnets of "
            f"{min(params.values()):,} to {max(params.values()):,} parameters) that tells "
            f"{len(manifest.labels)} kinds of sounds apart, several at once."
        ),
        "",
        "## Data",
        "",
        (
            f"{manifest.data_summary} Data hash `{manifest.data_hash}`. Every recording, with its source and licence, "
            f"stands in `{CREDITS}`; none of them, and no feature of one, is part of this Run."
        ),
        "",
        *dataset_table(examples.clips, recipe),
        "",
        *(
            f"`{label}` was helped by {count} generated sounds with random parameters, mixed into recordings; its "
            "validation figure below rests on recordings alone. Parameters in the reserved bands of "
            "`toolkit/audio/generated.py` were never drawn: the demo's scene uses only those."
            for label, count in sorted(generated.items())
        ),
        "",
        (
            f"The sample rate of a recording gives some labels away, so {band_limited:.0%} of the training crops were "
            "band-limited at a random frequency."
        ),
        "",
        "## Training",
        "",
        (
            f"Recipe `{recipe.name}`, seed {recipe.seed}. Batches of {recipe.batch_size} crops of "
            f"{manifest.front_end.seconds(recipe.crop_frames):g} s. "
            f"{manifest.seconds / 60:.0f} minutes on {manifest.machine}."
        ),
        "",
        "| stage | steps | subnets a step | labels | starts from |",
        "|---|---|---|---|---|",
        *_stages(recipe),
        "",
        "## How well it does",
        "",
        (
            "mAP: macro mean average precision on the validation recordings, in windows of 10 s with zeros after "
            "the last, measured with the stored weights and each subnet's own batch-norm statistics. It is "
            f"{maps[0]:.3f} to {maps[-1]:.3f}, in the median {median(maps):.3f}."
        ),
        "",
        (
            f"Events: {streams} F1 and false alarms an hour are cross-fitted: what is fitted on one half of the "
            "streams is measured on the other, both ways, with the recordings parted too. The streams are mixed from "
            "validation recordings over generated noise and busier than a home, so they say little of the false "
            "alarms in another place. A label with too little validation data is not calibrated: its threshold is a "
            "default."
        ),
        "",
        "Largest subnet by label; a figure that rests on a handful of recordings is worth little.",
        "",
        *label_table(manifest.decisions),
        "",
        "Every subnet; event figures are means over the calibrated labels.",
        "",
        "| subnet | parameters | validation mAP | event F1 | false alarms an hour |",
        "|---|---|---|---|---|",
        *(
            f"| {result.subnet} | {params[result.subnet]:,} | {result.mean_average_precision:.3f} | "
            f"{_figure(result.event_f1)} | {_figure(result.false_alarms_per_hour)} |"
            for result in sorted(results, key=lambda result: params[result.subnet])
        ),
        "",
        "## Limits",
        "",
        (
            "Trained on few recordings, mostly of single events recorded close by. Not for safety: it must not replace "
            "a smoke detector or any other alarm. Labels name the foreground of a recording; other sounds in it were "
            "not labelled."
        ),
        "",
        f"Made by `python -m toolkit.train --recipe {recipe.name} --data DIR`, toolkit {manifest.toolkit_version}.",
        "",
    ]
    return "\n".join(lines)


def dataset_table(clips: Sequence[Clip], recipe: Recipe) -> list[str]:
    """Lines of Markdown: datasets, their recordings, licences and credits."""
    counts = Counter(clip.dataset or "not stated" for clip in clips)
    licences: dict[str, set[str]] = {dataset: set() for dataset in counts}
    for clip in clips:
        licences[clip.dataset or "not stated"].add(clip.licence or "not stated")
    return [
        "| dataset | recordings | licences | credit |",
        "|---|---|---|---|",
        *(
            f"| {dataset} | {count} | {', '.join(sorted(licences[dataset]))} | {recipe.credits.get(dataset, '')} |"
            for dataset, count in sorted(counts.items())
        ),
    ]


def label_table(decisions: Sequence[LabelDecision]) -> list[str]:
    """Lines of Markdown: what is known of each label."""
    return [
        (
            "| label | training recordings | validation recordings | average precision | threshold | event F1 | "
            "false alarms an hour | calibrated |"
        ),
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {decision.label} | {decision.train_clips} | {decision.validation_clips} | "
            f"{_figure(decision.average_precision, 3)} | {decision.threshold:.2f} | {_figure(decision.event_f1)} | "
            f"{_figure(decision.false_alarms_per_hour)} | {'yes' if decision.calibrated else 'no'} |"
            for decision in decisions
        ),
    ]


def _stages(recipe: Recipe) -> Iterator[str]:
    for name in dict.fromkeys(needed for last in recipe.run for needed in recipe.needed(last)):
        stage = recipe.stages[name]
        taught = f"{1 - recipe.distillation_weight:g} hard, {recipe.distillation_weight:g} of the teacher"
        count = f"{stage.subnets_per_step} sampled" if stage.subnet == SAMPLED else stage.subnet
        labels = "hard" if stage.labels == "hard" else taught
        yield f"| {name} | {stage.steps} | {count} | {labels} | {stage.start or 'random weights'} |"


def _figure(value: float | None, places: int = 2) -> str:
    return "none" if value is None else f"{value:.{places}f}"
