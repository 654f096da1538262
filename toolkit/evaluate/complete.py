"""What a searched subnet lacks for export: statistics, activation ranges, thresholds. It is put beside the Run's own.

    RUN/searched-norms.safetensors    written first: statistics without a line count as none
    RUN/searched.jsonl                written last

All are as the training would have made them; the Run's hash stays. Proved by tests/evaluate/test_complete.py.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from toolkit.specs.errors import MismatchError
from toolkit.specs.evaluation import writable
from toolkit.specs.run import SEARCHED_NORMS, Run, SubnetResult, write_searched
from toolkit.specs.space import Subnet
from toolkit.supernet.norms import StoredNorms, recalibrate
from toolkit.supernet.supernet import Supernet, steps
from toolkit.supernet.weights import load_weights, save_moments
from toolkit.train.decide import figures_of, fit_labels, score_streams, spread
from toolkit.train.evaluate import results_of, score_all
from toolkit.train.examples import Examples, Progress
from toolkit.train.streams import plan_streams


def complete(
    run: Run,
    examples: Examples,
    draw_frames: Callable[[], Tensor],
    subnets: Sequence[Subnet],
    on_progress: Progress,
) -> None:
    """Write what the Run does not know of some subnets.

    Args:
        run: is opened anew to see it.
        examples: those that it was trained on.
        draw_frames: gives its calibration crops [B, 1, T, F]; not called where nothing is missing.
        subnets: of its space; what it knows of one is left as it is.
        on_progress: told what is done.

    Raises:
        MismatchError: the data are not those of the training.
        UserError: the Run's folder cannot be written.
    """
    check_trained_on(run, examples)
    with _writable_and_alone(run.folder):
        run = Run.open(run.folder)
        missing = [subnet for subnet in dict.fromkeys(subnets) if subnet.id not in run.results]
        if not missing:
            return
        frames = draw_frames()
        net, stored = load_weights(run)
        norms = StoredNorms({**stored.moments, **recalibrate(net, frames, missing).moments})
        results = _results(run, net, norms, examples, frames, missing, on_progress)
        results = [*(result for name, result in run.results.items() if name in run.searched), *results]
        paths = {step.path for result in results for step in steps(Subnet.parse(result.subnet))}
        save_moments(run.folder / SEARCHED_NORMS, {path: norms.at(path) for path in sorted(paths)})
        write_searched(run, results)


def check_trained_on(run: Run, examples: Examples) -> None:
    """Raise MismatchError unless the data are those of the Run's training."""
    if (found := examples.data_hash) != (expected := run.manifest.data_hash):
        raise MismatchError(
            f"the data have hash {found}, Run {run.manifest.name} was trained on {expected}: statistics and thresholds "
            "would be of other sounds than its own. Name the recordings that it was trained on with --data."
        )


def _results(
    run: Run,
    net: Supernet,
    norms: StoredNorms,
    examples: Examples,
    frames: Tensor,
    subnets: Sequence[Subnet],
    on_progress: Progress,
) -> list[SubnetResult]:
    """As `toolkit.train` would have them: what labels share was fitted on some of the subnets that it knew."""
    recipe = run.manifest.recipe
    trained = [Subnet.parse(name) for name in run.results if name not in run.searched]
    samples = spread(net.space, trained, len(examples.labels))
    streams = plan_streams(examples, recipe)
    heard = score_streams(net, norms, [*samples, *subnets], streams, on_progress)
    figures = figures_of(*fit_labels(streams, heard, samples, examples, recipe, on_progress))
    scores = score_all(net, norms, subnets, examples.validation, lambda n, of: on_progress("evaluating", n, of))
    targets = examples.targets(examples.validation)
    return results_of(
        net, norms, subnets, scores, targets, frames, figures, lambda n, of: on_progress("activation ranges", n, of)
    )


@contextmanager
def _writable_and_alone(folder: Path) -> Iterator[None]:
    """While this lasts no other process completes subnets of the same Run."""
    with writable(folder):
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, os.strerror(13))
        door = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield
    finally:
        os.close(door)
