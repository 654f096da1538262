"""`python -m toolkit.search`: the best subnet under a device's budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from toolkit.cli import json_option, print_json, verb
from toolkit.search.options import amount, bounds, count

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)


@verb
@click.option("--device", "device_names", required=True, multiple=True, metavar="NAME", help="May be repeated.")
@click.option("--run", type=_FOLDER, metavar="DIR", help="Run to search; the default Run otherwise.")
@click.option("--table", type=_FILE, metavar="FILE", help="Cost table; otherwise the best one found for the device.")
@click.option("--runtime", type=click.Choice(["tflite", "executorch"]), default="tflite", show_default=True)
@click.option("--mode", type=click.Choice(["stream", "clip"]), default="stream", show_default=True)
@click.option("--precision", type=click.Choice(["int8", "fp32"]), default="int8", show_default=True)
@click.option("--max-latency-ms", type=amount, help="Bounds replace those of the device's profile one by one.")
@click.option("--max-core-share", type=amount, help="Of always-on listening: 0.05 is 5 % of one core.")
@click.option("--max-memory-mb", type=amount, help="Peak memory; MB are a million bytes.")
@click.option("--max-size-mb", type=amount, help="Size of the model file.")
@click.option("--params", type=count, help="Parameters, give or take --tolerance: 1800000 or 1.8M.")
@click.option("--tolerance", type=count, help="Of --params: 0.2M.")
@click.option("--max-params", type=count, help="1800000 or 1.8M.")
@click.option("--min-params", type=count, help="1800000 or 1.8M.")
@click.option("--max-macs", type=count, help="Multiply-accumulates of one inference.")
@click.option(
    "--method",
    type=click.Choice(["exhaustive", "random", "evolution"]),
    default="exhaustive",
    show_default=True,
    help="exhaustive: all subnets. random: the paper's, a sample of those inside. evolution: NSGA-II.",
)
@click.option("--candidates", type=click.IntRange(1), help="Subnets to compare.  [default: random 25, evolution 60]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random and evolution.")
@click.option("--out", type=_FOLDER, default=Path("out"), show_default=True, help="The Pick goes to OUT/picks.")
@click.option("--devices", type=_FOLDER, metavar="DIR", help="Folder with profiles of your own, and their tables/.")
@json_option
def main(as_json: bool, **options: Any) -> None:
    """Find the best subnet under a device's budget; of several devices, for each and for all.

    Every subnet's cost is the sum of its layers in the device's cost table, front end included; its accuracy is the
    Run's own evaluation. Exit code 3 means that no subnet fits.
    """
    from toolkit.search import report
    from toolkit.search.picture import draw_answers
    from toolkit.search.search import Question, search
    from toolkit.specs.errors import InfeasibleError

    question = Question(bounds=bounds(options), **options)
    answers = search(question)
    pictures = draw_answers(answers)
    if as_json:
        print_json(report.as_json(answers, question, pictures))
    else:
        report.print_answers(answers, question, pictures)
    if answers.infeasible:
        raise InfeasibleError("\n".join(f"{device}: {reason}" for device, reason in answers.infeasible.items()))


if __name__ == "__main__":
    main()
