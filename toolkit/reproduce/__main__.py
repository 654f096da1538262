"""`python -m toolkit.reproduce`: the paper's two tables and two figures at reduced scale, unit by unit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import json_option, needs, print_json, verb

if TYPE_CHECKING:
    from toolkit.reproduce.plan import Unit
    from toolkit.specs.recipe import Recipe


@verb
@click.option("--data", type=click.Path(path_type=Path), help="Labelled recordings.  [default: $AEC_DATA]")
@click.option("--recipe", default="compact", show_default=True, help="A shipped recipe or a TOML file.")
@click.option("--unit", "names", multiple=True, help="Run this unit alone, with what it needs; may be repeated.")
@click.option("--list", "listed", is_flag=True, help="List the units, which are done, and how much work each is.")
@click.option("--assemble", is_flag=True, help="Make the report from the units that are done; run none.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the report.  [default: out/reproduce/RECIPE]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: all cores]")
@json_option
@needs("reproduce", "the reproduction needs torch, lightning-fabric, safetensors, scikit-learn and matplotlib")
def main(**options: Any) -> None:
    """Reproduce the paper's tables and figures on recordings of yours: train the units, then assemble the report.

    A unit is one stage with one seed. Stop at any moment and start again: what is done stays done.
    """
    from toolkit.reproduce.plan import chosen_units, plan_units, units_text
    from toolkit.reproduce.results import Results
    from toolkit.specs.recipe import Recipe
    from toolkit.specs.shipped import OUT

    recipe = Recipe.find(options["recipe"])
    folder = options["out"] or OUT / "reproduce" / recipe.name
    units = plan_units(recipe)
    chosen = chosen_units(units, options["names"])
    results = Results(folder / "units", recipe)
    if options["listed"]:
        done = results.all(units)
        if options["as_json"]:
            print_json({unit.name: unit.name in done for unit in chosen})
        else:
            click.echo(units_text(chosen, recipe, done))
        return

    from toolkit.reproduce.report import assemble

    if not options["assemble"]:
        _make(chosen, recipe, folder, options["data"], options["threads"])
    written, done = assemble(results, units, folder), results.all(units)
    if options["as_json"]:
        print_json({"report": str(written), "units": list(done)})
    else:
        click.echo(f"{len(done)} of {len(units)} units are done; the report is {written}")


def _make(chosen: Sequence[Unit], recipe: Recipe, folder: Path, data: Path | None, threads: int | None) -> None:
    from toolkit.audio.dataset import data_root, load_dataset
    from toolkit.progress import Progress
    from toolkit.reproduce.units import Workshop
    from toolkit.train.memory import keep_freed_memory
    from toolkit.train.parallel import launch

    keep_freed_memory()
    fabric = launch(recipe, "cpu", 1, 1, threads)
    dataset = load_dataset(data_root(data))
    with Progress() as progress:
        workshop = Workshop.open(recipe, dataset, folder, progress, fabric)
        for unit in progress.each("units", chosen):
            workshop.make(unit)


if __name__ == "__main__":
    main()
