"""`python -m toolkit.search`: the best subnet under a device's budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import json_option, print_json, verb
from toolkit.search.options import amount, count

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@verb
@click.option("--device", required=True, metavar="NAME", help="A device profile: rpi4, pixel7, smart-speaker, ...")
@click.option("--run", type=_FOLDER, metavar="DIR", help="Run to search; the default Run otherwise.")
@click.option("--table", type=_FILE, metavar="FILE", help="Cost table; otherwise the best one found for the device.")
@click.option("--mode", type=click.Choice(["stream", "clip"]), default="stream", show_default=True)
@click.option("--precision", type=click.Choice(["int8", "fp32"]), default="int8", show_default=True)
@click.option("--max-latency-ms", type=amount, help="Bounds replace those of the device's profile one by one.")
@click.option("--max-core-share", type=amount, help="Of always-on listening: 0.05 is 5 % of one core.")
@click.option("--max-memory-mb", type=amount, help="Peak memory; MB are a million bytes.")
@click.option("--max-size-mb", type=amount, help="Size of the model file.")
@click.option("--max-params", type=count, help="1800000 or 1.8M.")
@click.option("--min-params", type=count, help="1800000 or 1.8M.")
@click.option("--max-macs", type=count, help="Multiply-accumulates of one inference.")
@click.option(
    "--method",
    type=click.Choice(["exhaustive", "random"]),
    default="exhaustive",
    show_default=True,
    help="exhaustive: all subnets inside the budget. random: the paper's, a sample of them.",
)
@click.option("--candidates", type=click.IntRange(1), default=25, show_default=True, help="Size of the random sample.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random sample.")
@click.option("--out", type=_FOLDER, default=Path("out"), show_default=True, help="The Pick goes to OUT/picks.")
@click.option("--devices", type=_FOLDER, metavar="DIR", help="Folder with profiles of your own, and their tables/.")
@json_option
def main(as_json: bool, **options: Any) -> None:
    """Find the best subnet under a device's budget.

    Every subnet's cost is the sum of its layers in the device's cost table, front end included; its accuracy is the
    Run's own evaluation. Nothing is trained or measured here. Exit code 3 means that no subnet fits.
    """
    from toolkit.search import report
    from toolkit.search.search import Question, search

    asked = {name: options.pop(name) for name in list(options) if name.startswith(("max_", "min_"))}
    question = Question(**options, bounds={name: value for name, value in asked.items() if value is not None})
    answer = search(question)
    if as_json:
        print_json(report.as_json(answer, question))
    else:
        report.print_answer(answer, question)


if __name__ == "__main__":
    main()
