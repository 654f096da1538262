"""`python -m toolkit.train`: train a supernet on labelled recordings, or teach a Run labels of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import json_option, needs, print_json, verb

if TYPE_CHECKING:
    from toolkit.specs.run import Run

DEFAULT = "default"
"""What `--from` calls the committed Run."""
GO_WITH_FROM = {"parent", "only", "data", "out", "threads", "as_json"}
NEXT = ("profile", "search", "export")


@verb
@click.option("--data", type=click.Path(path_type=Path), help="Labelled recordings.  [default: $AEC_DATA]")
@click.option(
    "--recipe",
    default="plain",
    show_default=True,
    help="plain, default (the committed Run's), compact, paper, or a TOML file.",
)
@click.option("--from", "parent", metavar="RUN", help="Teach this Run (`default`, or a folder) the labels of --data.")
@click.option("--only", is_flag=True, help="With --from: the new Run knows the labels of --data alone.")
@click.option("--stages", help="Stages to train, between commas, with what they stand on.  [default: the recipe's]")
@click.option("--subnet", help="Subnet id, for a stage that trains a given one: baseline, kd, fine-tune, init.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the Run.  [default: out/runs/RECIPE or /DATA]")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in --out, if there is one.")
@click.option("--dry-run", is_flag=True, help="Say what would be trained and how long it takes here; train nothing.")
@click.option("--features", type=click.Path(path_type=Path), help="Folder that keeps the log-mel of shards' clips.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of each process.  [default: all cores]")
@click.option("--accelerator", default="cpu", show_default=True, help="cpu, cuda, mps or auto.")
@click.option("--devices", type=click.IntRange(min=1), default=1, show_default=True, help="Processors of each node.")
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="Machines.")
@json_option
@needs("train", "training needs torch, lightning-fabric, safetensors, scikit-learn and tensorboard")
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Train one supernet for all devices: a teacher, the largest subnet, then all subnets with distillation.

    With --from nothing is trained anew: a Run learns labels of your own from some 20 clips each, in minutes.
    On several processors start it with torchrun or srun, and state --devices and --nodes.
    """
    if options["parent"] is None:
        if options["only"]:
            raise click.UsageError("--only goes with --from RUN: whose labels are to be left out?")
        _train(**options)
        return
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in GO_WITH_FROM
        and context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{', '.join(given)}: not with --from, which trains a Run's head alone and on one CPU.")
    _teach(**options)


def _train(**options: Any) -> None:
    """A training from the start, or the plan of one."""
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
        lines = plan(recipe, dataset, stages, subnet, fabric)
        if options["as_json"]:
            print_json([line.model_dump(mode="json") for line in lines])
        else:
            click.echo(plan_text(recipe, lines))
        return
    filled = folder.exists() and any(folder.iterdir())
    if fabric.is_global_zero and filled and not options["resume"]:
        raise UserError(f"{folder} is not empty. Go on with --resume, or name another --out.")
    if options["resume"] and filled and not (folder / WORK).exists():
        raise UserError(f"{folder} holds no checkpoint to go on from. Start without --resume.")
    with Progress() as progress:
        run = train(
            recipe,
            dataset,
            folder,
            progress=progress,
            stages=stages,
            subnet=subnet,
            fabric=fabric,
            features=options["features"],
        )
    if not fabric.is_global_zero:
        return
    if options["as_json"]:
        print_json(_summary(run))
        return
    click.echo("\n".join(_lines(run)))


def _teach(**options: Any) -> None:
    """A Run learns labels of one's own."""
    import torch

    from toolkit.audio.dataset import data_root, load_dataset
    from toolkit.progress import Progress
    from toolkit.specs.run import Run
    from toolkit.specs.shipped import OUT
    from toolkit.train.adapt import adapt
    from toolkit.train.memory import keep_freed_memory

    keep_freed_memory()
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    parent = Run.open(None if options["parent"] == DEFAULT else Path(options["parent"]))
    data = data_root(options["data"])
    place = data if data.is_dir() else data.parent
    folder = options["out"] or OUT / "runs" / place.resolve().name
    dataset = load_dataset(data)
    with Progress() as progress:
        run = adapt(parent, dataset, folder, progress=progress, only=options["only"])
    new = [label for label in run.manifest.labels if label not in parent.manifest.labels]
    following = [f"python -m toolkit.{name} --device pixel7 --run {shlex.quote(str(folder))}" for name in NEXT]
    if options["as_json"]:
        print_json(_summary(run) | {"new": new, "parent": run.manifest.parent, "next_commands": following})
        return
    lines = _lines(run)
    for decision in run.manifest.decisions:
        if decision.label in new:
            precision = f"average precision {decision.average_precision or 0:.3f}"
            lines.append(f"  {decision.label}: {precision} on {decision.validation_clips} validation recordings")
    click.echo("\n".join([*lines, "next: " + "\n      ".join(following)]))


def _summary(run: Run) -> dict[str, Any]:
    """A Run as plain data."""
    labels, ends = list(run.manifest.labels), _ends(run)
    return {"run": str(run.folder), "labels": labels, "subnets": len(run.results), "mean_average_precision": ends}


def _lines(run: Run) -> list[str]:
    """The same for people."""
    manifest = run.manifest
    title = f"Run {manifest.name}: {len(manifest.labels)} labels, {len(run.results)} subnets, in {run.folder}"
    return [title, *(f"  {name}: validation mAP {mean:.3f}" for name, mean in _ends(run).items())]


def _ends(run: Run) -> dict[str, float]:
    """mAP of the narrowest and the widest subnet."""
    means = {name: result.mean_average_precision for name, result in run.results.items()}
    return {name: means[name] for name in (min(means, key=_width), max(means, key=_width))}


def _width(subnet: str) -> int:
    """Channels of all its convolutions: orders the ends of a space."""
    return sum(int(width) for block in subnet.split("-") for width in block.split("."))


if __name__ == "__main__":
    main()
