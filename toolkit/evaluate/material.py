"""What a Run's subnets are evaluated on: the clips that its recipe takes, and which of those to validate are heard.

Proved by tests/evaluate/test_material.py.
"""

from __future__ import annotations

import numpy as np

from toolkit.audio.dataset import Dataset
from toolkit.specs.errors import UserError
from toolkit.specs.run import Run
from toolkit.train.examples import Example, Examples, Progress, gather


def gather_for(run: Run, dataset: Dataset, on_progress: Progress) -> Examples:
    """The examples that a Run's recipe takes from a dataset, with the labels of the Run and no others.

    Raises:
        UserError: the data lack labels of the Run, or recordings of one in a split; or the Run was taught labels
            later, so that its statistics are those of another Run and of other recordings.
    """
    manifest = run.manifest
    if manifest.parent:
        raise UserError(
            f"Run {manifest.name} was taught its labels: its statistics are those of its parent, Run "
            f"{manifest.parent}. Evaluate subnets of that one."
        )
    if lacking := [label for label in manifest.labels if label not in dataset.labels]:
        raise UserError(
            f"the data lack {len(lacking)} of the {len(manifest.labels)} labels of Run {manifest.name}: "
            f"{', '.join(lacking):.300}. Name the recordings that it was trained on with --data."
        )
    background = [label for label in manifest.recipe.background_labels if label in dataset.labels]
    for split in ("train", "validation"):
        counts = dataset.subset(split=split).clips_per_label()
        if empty := [label for label in manifest.labels if not counts[label]]:
            raise UserError(
                f"no {split} clip of the data holds {', '.join(empty):.300}, which Run {manifest.name} knows. "
                "Name the recordings that it was trained on with --data."
            )
    recipe = manifest.recipe.model_copy(update={"min_train_clips": 1, "min_validation_clips": 1})
    examples = gather(recipe, dataset.subset(labels=[*manifest.labels, *background]), on_progress)
    if examples.labels != manifest.labels:  # of the recipe's tier there are none
        lacking = sorted(set(manifest.labels) - set(examples.labels))
        raise UserError(
            f"the data hold no recording of tier {recipe.tier} of {', '.join(lacking):.300}, which Run "
            f"{manifest.name} knows. Name the recordings that it was trained on with --data."
        )
    return examples


def chosen(examples: Examples, clips: int | None, seed: int) -> list[Example]:
    """So many of the validation examples, in their order: one of each label first, then any, drawn with a seed.

    All of them if no number is given or if there are no more.
    """
    every = examples.validation
    if clips is None or clips >= len(every):
        return [every[place] for place in range(len(every))]
    drawn = np.random.default_rng([seed, 7]).permutation(len(every)).tolist()
    first = {label: place for place in reversed(drawn) for label in every[place].labels}
    order = dict.fromkeys([*(first[label] for label in examples.labels), *drawn])
    return [every[place] for place in sorted(list(order)[:clips])]
