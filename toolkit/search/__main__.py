"""`python -m toolkit.search`: the best subnet under a device's budget."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import json_option, needs, print_json, typed_options, verb
from toolkit.search.how import how, measure_options
from toolkit.search.options import amount, bounds, count

if TYPE_CHECKING:
    from toolkit.progress import Progress
    from toolkit.search.how import How
    from toolkit.search.scores import Scorer

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False)
FAILED = 1
"""Exit code of a prediction that was not good enough."""


@verb
@click.option("--device", "device_names", multiple=True, metavar="NAME", help="A device profile; may be repeated.")
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
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of random and evolution."
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="Recordings to evaluate subnets on that the Run knows not."
)
@click.option(
    "--clips", type=click.IntRange(1), help="With --data: compare on so many clips; the front is scored on all."
)
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="That evaluate, on each node.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="Machines that evaluate.")
@click.option("--paper", is_flag=True, help="The paper's four searches by number of parameters, for no device.")
@measure_options
@click.option("--out", type=_FOLDER, default=Path("out"), show_default=True, help="The Pick goes to OUT/picks.")
@click.option("--devices", type=_FOLDER, metavar="DIR", help="Folder with profiles of your own, and their tables/.")
@json_option
def main(as_json: bool, **options: Any) -> None:
    """Find the best subnet under a device's budget; of several devices, for each and for all.

    Every subnet's cost is the sum of its layers in the device's cost table, front end included; its accuracy is the
    Run's own evaluation, or with --data a true one, which the Run then keeps. Exit code 3 means that no subnet fits.

    With --measure the pick is exported and run on the device itself; exit code 1 means that the table's prediction of
    latency or memory was off by more than 10 % (with --refine: still was, after the table was mended).
    """
    from toolkit.progress import Progress

    measuring = how(options)
    evaluation = {name: options.pop(name) for name in ("data", "processes", "nodes")}
    if measuring and measuring.refine and (evaluation["processes"], evaluation["nodes"]) != (1, 1):
        raise click.UsageError("--refine searches again in one process: leave --processes and --nodes out.")
    if options["clips"] and not evaluation["data"]:
        raise click.UsageError("--clips is a part of the recordings: name them with --data.")
    if evaluation["data"] is None and (evaluation["processes"], evaluation["nodes"]) != (1, 1):
        raise click.UsageError("--processes and --nodes evaluate on recordings: name them with --data.")
    evaluating = needs("train", "--data needs torch, lightning-fabric, safetensors and scikit-learn")
    with Progress() as progress:
        if options.pop("paper"):
            heeded = {"--paper", "--run", "--seed", "--out", "--json", *(f"--{name}" for name in evaluation)}
            if refused := ", ".join(sorted(typed_options() - heeded)):
                raise click.UsageError(f"--paper searches for no device and by parameters alone: leave out {refused}.")
            (evaluating(_paper) if evaluation["data"] else _paper)(as_json, evaluation, progress, **options)
        elif options["method"] == "exhaustive" and (idle := typed_options() & {"--candidates", "--seed"}):
            drawn = " and ".join(sorted(idle))
            raise click.UsageError(f"exhaustive compares all subnets: {drawn} goes with --method random or evolution.")
        elif options["device_names"]:
            search = evaluating(_search) if evaluation["data"] else _search
            search(as_json, evaluation, measuring, progress, **options)
        else:
            raise click.UsageError("Which device? Name one: --device pixel7.")


def _search(
    as_json: bool, evaluation: dict[str, Any], measuring: How | None, progress: Progress, **options: Any
) -> None:
    """The best subnet for each device, and what the only one's costs there."""
    from toolkit.search import report
    from toolkit.search.picture import draw_answers
    from toolkit.search.search import Question, search
    from toolkit.specs.errors import InfeasibleError

    question = Question(bounds=bounds(options), **options)
    scorer = _scorer(question.run, question.clips, evaluation, progress)
    answers = search(question, scorer)
    if not scorer.is_first:
        return
    measured: dict[str, Any] = {}
    passed = True
    if not as_json:
        report.print_answers(answers, question, draw_answers(answers))
    if measuring and not answers.infeasible:
        from toolkit.search import verdict
        from toolkit.search.trial import Step, trial

        steps = []
        for step in trial(question, answers, measuring, lambda asked: search(asked, scorer), progress.count):
            steps.append(step)
            answers, passed = step.answers, isinstance(step, Step) and step.measured.passed
            if step.refined and not as_json:
                verdict.print_refined(step.refined)
                report.print_answers(answers, question, draw_answers(answers))
            if isinstance(step, Step) and not as_json:
                verdict.print_verdict(step)
        measured = {"measured": verdict.as_json(steps)}
    if as_json:
        print_json(report.as_json(answers, question, draw_answers(answers)) | measured)
    if answers.infeasible:
        raise InfeasibleError("\n".join(f"{device}: {reason}" for device, reason in answers.infeasible.items()))
    if not passed:
        sys.exit(FAILED)


def _paper(as_json: bool, evaluation: dict[str, Any], progress: Progress, **options: Any) -> None:
    """The paper's four searches."""
    from toolkit.search import paper
    from toolkit.specs.run import Run

    scorer = _scorer(options["run"], None, evaluation, progress)
    rows = paper.paper_search(Run.open(options["run"]), scorer, options["seed"])
    if not scorer.is_first:
        return
    picture = paper.draw_boxes(rows, Run.open(options["run"]), options["out"])
    if as_json:
        print_json(paper.as_json(rows, picture))
    else:
        paper.print_rows(rows, picture)


def _scorer(run: Path | None, clips: int | None, evaluation: dict[str, Any], progress: Progress) -> Scorer:
    """The Run's own figures, or true evaluations."""
    from toolkit.search.scores import RunScores, TrueScores
    from toolkit.specs.run import Run

    if evaluation["data"] is None:
        return RunScores(Run.open(run))
    return TrueScores(Run.open(run), clips=clips, on_progress=progress.count, **evaluation)


if __name__ == "__main__":
    main()
