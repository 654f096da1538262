"""The model card of a Run: what it was trained on, how, how well each label does, and what it must not be used for.

Proved by tests/train/test_train.py.
"""

from __future__ import annotations

from collections import Counter
from statistics import median

from toolkit.specs.run import CREDITS, RunManifest, SubnetResult
from toolkit.train.examples import Examples


def model_card(manifest: RunManifest, results: list[SubnetResult], examples: Examples) -> str:
    """Markdown; every figure in it was measured by the training that writes it."""
    recipe, space = manifest.recipe, manifest.space
    by_id = {result.subnet: result.mean_average_precision for result in results}
    maps = sorted(by_id.values())
    ends = (space.smallest, space.largest)
    params = {subnet.id: space.params(subnet, len(manifest.labels), manifest.front_end) for subnet in ends}
    band_limited = recipe.augmentation.band_limit_probability
    generated = Counter(example.labels[0] for example in examples.train if example.generated)
    counts = Counter(clip.dataset or "not stated" for clip in examples.clips)
    licences: dict[str, set[str]] = {dataset: set() for dataset in counts}
    for clip in examples.clips:
        licences[clip.dataset or "not stated"].add(clip.licence or "not stated")
    lines = [
        f"# Model card: {manifest.name}",
        "",
        (
            f"A weight-sharing CNN10 supernet ({space.name}, base width {space.base_width}, {len(by_id)} subnets of "
            f"{params[space.smallest.id]:,} to {params[space.largest.id]:,} parameters) that tells "
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
        "| dataset | recordings | licences | credit |",
        "|---|---|---|---|",
        *(
            f"| {dataset} | {count} | {', '.join(sorted(licences[dataset]))} | {recipe.credits.get(dataset, '')} |"
            for dataset, count in sorted(counts.items())
        ),
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
            f"Recipe `{recipe.name}`, seed {recipe.seed}: the largest subnet for {recipe.largest_steps} steps on hard "
            f"labels, then {recipe.subnets_per_step} random subnets a step for {recipe.supernet_steps} steps, taught "
            f"by the network of the first phase (weight {recipe.distillation_weight:g} against the hard labels). "
            f"Batches of {recipe.batch_size} crops of {manifest.front_end.seconds(recipe.crop_frames):g} s. "
            f"{manifest.seconds / 60:.0f} minutes on {manifest.machine}."
        ),
        "",
        "## How well it does",
        "",
        (
            "Macro mean average precision on the validation recordings (the first 10 s of each, zeros after shorter "
            "ones), measured with the stored weights and each subnet's own batch-norm statistics. Thresholds were "
            "chosen on the same recordings, so figures that depend on them would be optimistic."
        ),
        "",
        "| subnet | parameters | validation mAP |",
        "|---|---|---|",
        *(f"| {subnet} | {count:,} | {by_id[subnet]:.3f} |" for subnet, count in params.items()),
        f"| all {len(maps)}: least, median, greatest | | {maps[0]:.3f}, {median(maps):.3f}, {maps[-1]:.3f} |",
        "",
        "Largest subnet by label; a figure that rests on a handful of recordings is worth little.",
        "",
        "| label | training recordings | validation recordings | average precision | threshold |",
        "|---|---|---|---|---|",
        *(
            f"| {d.label} | {d.train_clips} | {d.validation_clips} | "
            f"{'none' if d.average_precision is None else format(d.average_precision, '.3f')} | {d.threshold:.2f} |"
            for d in manifest.decisions
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
