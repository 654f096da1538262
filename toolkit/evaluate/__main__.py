"""`python -m toolkit.evaluate`: the validation mAP of subnets of a Run, computed exactly and kept in the Run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import json_option, needs, print_json, verb

if TYPE_CHECKING:
    from toolkit.specs.run import Run
    from toolkit.specs.space import Subnet

MOST_OF_ALL = 10_000
"""Subnets of a space that --all goes through."""
SHOWN = 10


@verb
@click.option("--run", type=click.Path(path_type=Path), help="Folder of the Run.  [default: the one that is shipped]")
@click.option("--data", type=click.Path(path_type=Path), help="Labelled recordings.  [default: $AEC_DATA]")
@click.option("--subnet", "subnets", multiple=True, metavar="ID", help="Subnet id, largest or smallest; repeatable.")
@click.option("--all", "every", is_flag=True, help="All subnets of the space, in place of those the Run knows.")
@click.option("--clips", type=click.IntRange(min=1), help="Score on so many validation clips, a fixed choice.")
@click.option("--complete", is_flag=True, help="Add to the Run what export needs of them: statistics, thresholds, ...")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of each process.  [default: all cores]")
@click.option("--accelerator", default="cpu", show_default=True, help="cpu, cuda, mps or auto.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="Processors of each node.")
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="Machines.")
@json_option
@needs("train", "evaluation needs torch, lightning-fabric, safetensors and scikit-learn")
def main(**options: Any) -> None:
    """Evaluate subnets of a Run on validation recordings, each with batch norms of its own.

    What is known stands in the Run's folder and is not computed again; one that was stopped goes on where it was.
    On several processors start it with torchrun or srun, and state --devices and --nodes.
    """
    from toolkit.audio.dataset import data_root, load_dataset
    from toolkit.evaluate.evaluator import Evaluator
    from toolkit.evaluate.processes import launch_for
    from toolkit.progress import Progress
    from toolkit.specs.run import Run

    run = Run.open(options["run"])
    subnets = _wanted(run, options["subnets"], options["every"])
    fabric = launch_for(run, options["accelerator"], options["devices"], options["nodes"], options["threads"])
    dataset = load_dataset(data_root(options["data"]))
    with Progress() as progress:
        evaluator = Evaluator(run, dataset, options["clips"], fabric, progress.count)
        before = evaluator.known
        found = evaluator(subnets)
        if options["complete"]:
            evaluator.complete(subnets)
    if not fabric.is_global_zero:
        return
    ranked = sorted(found.items(), key=lambda pair: pair[1], reverse=True)
    new, clips = sum(subnet.id not in before for subnet in found), len(evaluator.heard)
    if options["as_json"]:
        same = evaluator.examples.data_hash == run.manifest.data_hash
        figures = {subnet.id: mean for subnet, mean in ranked}
        told = {"run": str(run.folder), "key": evaluator.key, "file": str(evaluator.path), "clips": clips}
        print_json({**told, "data_of_training": same, "new": new, "mean_average_precision": figures})
        return
    title = f"Run {run.manifest.name}: {len(found)} subnets on {clips} validation clips, {new} of them computed now"
    click.echo(f"{title}, in {evaluator.path}")
    for subnet, mean in ranked[:SHOWN]:
        click.echo(f"  {subnet.id}: mAP {mean:.4f}")
    if len(ranked) > SHOWN:
        click.echo(f"  ... and {len(ranked) - SHOWN} more, down to {ranked[-1][1]:.4f} ({ranked[-1][0].id})")


def _wanted(run: Run, subnets: tuple[str, ...], every: bool) -> tuple[Subnet, ...]:
    """Those that were named, all of the space, or those the Run knows.

    Raises:
        UserError: a name is none of the space, or the space is too large to go through.
    """
    from toolkit.specs.errors import UserError
    from toolkit.specs.space import Subnet

    space = run.manifest.space
    if every and subnets:
        raise click.UsageError("--all and --subnet exclude each other.")
    if every and len(space) > MOST_OF_ALL:
        raise UserError(
            f"space {space.name} has {len(space):,} subnets, --all goes through {MOST_OF_ALL:,} at most. "
            "Name some with --subnet, or let python -m toolkit.search --method evolution choose."
        )
    if every:
        return tuple(space.subnets())
    return tuple(map(space.parse, subnets)) or tuple(Subnet.parse(name) for name in run.results)


if __name__ == "__main__":
    main()
