"""The options of search that measure the pick on its device, and what they say together. Imports click alone.

Proved by tests/search/test_trial.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

_OPTIONS = (
    click.option("--measure", is_flag=True, help="Export the pick, run it on --target, compare: passed within 10 %."),
    click.option("--target", metavar="TARGET", help="Where: local, ssh://USER@HOST, adb://SERIAL."),
    click.option(
        "--agent", type=click.Choice(["python", "native", "app"]), help="What runs it.  [default: python for tflite]"
    ),
    click.option("--benchmark-model", type=click.Path(path_type=Path), help="TFLite's own program, on Android."),
    click.option("--python", metavar="PATH", help="The device's Python, if not python3."),
    click.option("--refine", is_flag=True, help="Where it fails, measure the pick's layers anew and search again."),
    click.option("--resume", is_flag=True, help="Go on with a measurement that was interrupted."),
)


@dataclass(frozen=True)
class How:
    """How a pick is measured."""

    target: str
    agent: Literal["python", "native", "app"] | None = None
    benchmark_model: Path | None = None
    python: str | None = None
    refine: bool = False
    resume: bool = False


def measure_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb the options that `how` reads."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def how(options: dict[str, Any]) -> How | None:
    """Takes those options out of `options`; None where nothing is to be measured.

    Raises:
        click.UsageError: one is there without another that it needs, or there are several devices.
        UserError: what is named is no target; it is not reached yet.
    """
    wanted = options.pop("measure")
    named = {name: options.pop(name) for name in ("target", "agent", "benchmark_model", "python", "refine", "resume")}
    if not wanted:
        for name, given in named.items():
            if given:
                raise click.UsageError(f"--{name.replace('_', '-')} is for --measure: give both, or neither.")
        return None
    if not named["target"]:
        raise click.UsageError("--measure needs --target: local for this machine, ssh://USER@HOST, adb://SERIAL.")
    if (found := len(options["device_names"])) > 1:
        raise click.UsageError(f"--measure is of one device, found {found}: measure each on its own target.")
    from toolkit.targets import open_target

    open_target(named["target"], named["python"])  # said before anything is evaluated
    return How(**named)
