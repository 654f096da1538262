"""`python -m toolkit.train`: train a supernet on labelled recordings and write a Run."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import json_option, needs, print_json, verb


@verb
@click.option("--data", type=click.Path(path_type=Path), help="Labelled recordings.  [default: $AEC_DATA]")
@click.option(
    "--recipe", default="plain", show_default=True, help="plain, default (the committed Run's) or a TOML file."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the Run.  [default: out/runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in --out.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
@json_option
@needs("train", "training needs torch, safetensors and scikit-learn")
def main(data: Path | None, recipe: str, out: Path | None, resume: bool, threads: int | None, as_json: bool) -> None:
    """Train one supernet for all devices: its largest subnet first, then all subnets with distillation."""
    import torch

    from toolkit.audio.dataset import data_root, load_dataset
    from toolkit.progress import Progress
    from toolkit.specs.errors import UserError
    from toolkit.specs.recipe import Recipe
    from toolkit.specs.shipped import OUT, RECIPES
    from toolkit.train.train import train

    if threads:
        torch.set_num_threads(threads)
    shipped = {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}
    if recipe not in shipped and not Path(recipe).exists():
        raise UserError(f"recipe {recipe} does not exist; shipped: {', '.join(shipped)}. Or name a TOML file.")
    plan = Recipe.load(shipped.get(recipe, Path(recipe)))
    folder = out or OUT / "runs" / plan.name
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise UserError(f"{folder} is not empty. Go on with --resume, or name another --out.")
    with Progress() as progress:
        run = train(plan, load_dataset(data_root(data)), folder, resume=resume, progress=progress)
    space, results = run.manifest.space, run.results
    ends = {name: results[subnet.id] for name, subnet in (("smallest", space.smallest), ("largest", space.largest))}
    if as_json:
        print_json(
            {
                "run": str(folder),
                "labels": run.manifest.labels,
                "subnets": len(results),
                "mean_average_precision": {name: result.mean_average_precision for name, result in ends.items()},
            }
        )
        return
    click.echo(f"Run {run.manifest.name}: {len(run.manifest.labels)} labels, {len(results)} subnets, in {folder}")
    for name, result in ends.items():
        click.echo(f"  {name} {result.subnet}: validation mAP {result.mean_average_precision:.3f}")


if __name__ == "__main__":
    main()
