"""The model card of a Run that learnt somebody's own sounds: what it took over, what it learnt, how well that does.

Proved by tests/train/test_adapt.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from toolkit.specs.run import CARD, CREDITS, Run, RunManifest, SubnetResult
from toolkit.train.card import dataset_table, label_table
from toolkit.train.examples import Examples


def adapted_card(
    manifest: RunManifest,
    results: Sequence[SubnetResult],
    examples: Examples,
    parent: Run,
    new: Sequence[str],
    streams: str,
) -> str:
    """Markdown; `streams` says what the decisions were fitted on, in whole sentences."""
    before = parent.manifest
    kept = [label for label in manifest.labels if label not in new]
    gone = [label for label in before.labels if label not in manifest.labels]
    maps = sorted(result.mean_average_precision for result in results)
    of_both = (
        "of the old labels as measured when they were trained, of the new ones on the recordings above"
        if not gone and kept
        else "on the validation recordings above"
    )
    lines = [
        f"# Model card: {manifest.name}",
        "",
        (
            f"Run `{manifest.parent}` with {len(new)} new labels: {', '.join(new) or 'none'}. Its convolutions, its "
            f"batch-norm statistics and its rows of {len(kept)} labels are unchanged"
            + (f"; these labels it no longer tells: {', '.join(gone)}." if gone else ".")
        ),
        "",
        "## Data",
        "",
        (
            f"{manifest.data_summary} Data hash `{manifest.data_hash}`. Every recording, with its source and licence, "
            f"stands in `{CREDITS}`, beside those of the Run that it comes from; none of them, and no feature of a "
            f"single one, is part of this Run. On the old labels: {before.data_summary}"
        ),
        "",
        *dataset_table(examples.clips, manifest.recipe),
        "",
        "## How well it does",
        "",
        (
            f"mAP: mean over the labels of the average precision, {of_both}. It is {maps[0]:.3f} to {maps[-1]:.3f}, in "
            f"the median {median(maps):.3f} of {len(maps)} subnets. On a handful of recordings it says little, and "
            "nothing of sounds that are not among them."
        ),
        "",
        f"Decisions on the new labels: {streams} Those of the old labels are the ones of `{before.name}`.",
        "",
        *label_table(manifest.decisions),
        "",
        "## Limits",
        "",
        (
            "Learnt from few recordings. Not for safety: it must not replace a smoke detector or any other alarm. What "
            f"holds for `{before.name}` holds here too; its own `{CARD}` says it."
        ),
        "",
        f"Made by `python -m toolkit.train --from RUN --data DIR`, toolkit {manifest.toolkit_version}.",
        "",
    ]
    return "\n".join(lines)
