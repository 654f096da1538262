"""The model card of a Run that learnt somebody's own sounds: what it took over, what it learnt, how well that does.

The card of a training is `toolkit.train.card`. Proved by tests/train/test_adapt.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from toolkit.specs.run import CARD, CREDITS, Run, RunManifest, SubnetResult
from toolkit.train.card import dataset_table, label_table
from toolkit.train.examples import Examples
from toolkit.train.own_labels import OwnLabels


def adapted_card(
    manifest: RunManifest,
    results: Sequence[SubnetResult],
    examples: Examples,
    parent: Run,
    labels: OwnLabels,
    streams: str,
) -> str:
    """Markdown; `streams` says what the decisions were fitted on, in whole sentences."""
    before = parent.manifest
    kept = [label for label in labels.all if label not in labels.new]
    gone = [label for label in before.labels if label not in labels.all]
    maps = sorted(result.mean_average_precision for result in results)
    lines = [
        f"# Model card: {manifest.name}",
        "",
        (
            f"Run `{manifest.parent}` with {len(labels.new)} new labels: {', '.join(labels.new) or 'none'}. Its "
            f"convolutions, its batch-norm statistics and its rows of {len(kept)} labels are unchanged"
            + (f"; these labels it no longer tells: {', '.join(gone)}." if gone else ".")
        ),
        "",
        "## Data",
        "",
        (
            f"{manifest.data_summary} Data hash `{manifest.data_hash}`. Every recording, with its source and licence, "
            f"stands in `{CREDITS}`, beside those of the Run that it comes from; none of them, and no feature of a "
            f"single one, is part of this Run. What `{before.name}` was trained on: {before.data_summary}"
        ),
        "",
        *dataset_table(examples.clips, manifest.recipe),
        "",
        "## How well it does",
        "",
        (
            f"mAP: mean over the labels of the average precision, {_measured_on(labels, before.name)}. It is "
            f"{maps[0]:.3f} to {maps[-1]:.3f}, in the median {median(maps):.3f} of {len(maps)} subnets. On a handful "
            "of recordings it says little, and nothing of sounds that are not among them."
        ),
        "",
        f"Decisions on {', '.join(labels.judged)}: {streams}",
        "",
        "Largest subnet by label:",
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


def _measured_on(labels: OwnLabels, parent: str) -> str:
    own = "on the validation recordings above"
    if labels.all == labels.judged:
        return own
    return f"of the labels of `{parent}` as its card says, of the new ones {own}"
