"""`python -m toolkit.train`: train a supernet on labelled recordings and write a Run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import json_option, needs, print_json, verb


@verb
@click.option("--data", type=click.Path(path_type=Path), help="Labelled recordings.  [default: $AEC_DATA]")
@click.option(
    "--recipe",
    default="plain",
    show_default=True,
    help="plain, default (the committed Run's), compact, paper, or a TOML file.",
)
@click.option("--stages", help="Stages to train, between commas, with what they stand on.  [default: the recipe's]")
@click.option("--subnet", help="Subnet id, for a stage that trains a given one: baseline, kd, fine-tune, init.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the Run.  [default: out/runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in --out.")
@click.option("--dry-run", is_flag=True, help="Say what would be trained and how long it takes here; train nothing.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of each process.  [default: all cores]")
@click.option("--accelerator", default="cpu", show_default=True, help="cpu, cuda, mps or auto.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="Processors of each node.")
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="Machines.")
@json_option
@needs("train", "training needs torch, lightning-fabric, safetensors, scikit-learn and tensorboard")
def main(**options: Any) -> None:
    """Train one supernet for all devices: a teacher, the largest subnet, then all subnets with distillation.

    On several processors start it with torchrun or srun, and state --devices and --nodes.
    """
    from toolkit.audio.dataset import data_root, load_dataset
    from toolkit.progress import Progress
    from toolkit.specs.errors import UserError
    from toolkit.specs.recipe import Recipe
    from toolkit.specs.shipped import OUT
    from toolkit.train.memory import keep_freed_memory
    from toolkit.train.parallel import launch
    from toolkit.train.plan import plan, plan_text
    from toolkit.train.train import WORK, train

    keep_freed_memory()
    recipe = Recipe.find(options["recipe"])
    stages = tuple(name.strip() for name in (options["stages"] or ",".join(recipe.run)).split(","))
    subnet = recipe.search_space().parse(options["subnet"]) if options["subnet"] else None
    folder = options["out"] or OUT / "runs" / recipe.name
    fabric = launch(recipe, options["accelerator"], options["devices"], options["nodes"], options["threads"])
    dataset = load_dataset(data_root(options["data"]))
    if options["dry_run"]:
        lines = plan(recipe, dataset, stages, subnet)
        if options["as_json"]:
            print_json([line.model_dump(mode="json") for line in lines])
        else:
            click.echo(plan_text(recipe, lines))
        return
    begun = (folder / WORK).exists()
    if fabric.is_global_zero and folder.exists() and any(folder.iterdir()) and not options["resume"]:
        raise UserError(f"{folder} is not empty. Go on with --resume, or name another --out.")
    if options["resume"] and not begun:
        raise UserError(f"{folder} holds no checkpoint to go on from. Start without --resume.")
    with Progress() as progress:
        run = train(recipe, dataset, folder, progress=progress, stages=stages, subnet=subnet, fabric=fabric)
    if not fabric.is_global_zero:
        return
    means = {name: result.mean_average_precision for name, result in run.results.items()}
    ends = {name: means[name] for name in (min(means, key=_width), max(means, key=_width))}
    if options["as_json"]:
        labels = run.manifest.labels
        print_json({"run": str(folder), "labels": labels, "subnets": len(means), "mean_average_precision": ends})
        return
    click.echo(f"Run {run.manifest.name}: {len(run.manifest.labels)} labels, {len(means)} subnets, in {folder}")
    for name, mean in ends.items():
        click.echo(f"  {name}: validation mAP {mean:.3f}")


def _width(subnet: str) -> int:
    """Channels of all its convolutions: orders the ends of a space."""
    return sum(int(width) for block in subnet.split("-") for width in block.split("."))


if __name__ == "__main__":
    main()
