"""Option types of the search verb: amounts above zero, counts such as 1.8M, and what contradicts. Imports click alone.

Proved by tests/search/test_command.py.
"""

from __future__ import annotations

import math
import re
from typing import Any

import click

_FACTORS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def amount(text: str) -> float:
    """A finite number above zero.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise click.BadParameter(f"{text!r} is not a number above zero.")
    return value


def count(text: str) -> int:
    """A whole number, plain (1800000) or with k, M or G (1.8M).

    Raises:
        click.BadParameter: it is none.
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", str(text).replace("_", ""), re.ASCII)
    value = float(parts[1]) * _FACTORS[parts[2]] if parts else math.nan
    if not 1 <= value < 1e15 or abs(value - round(value)) > 1e-6 * value:
        raise click.BadParameter(f"{text!r} is not a count above zero; write it as 1800000 or 1.8M.")
    return round(value)


def bounds(options: dict[str, Any]) -> dict[str, float]:
    """Takes the bounds out of the options, by the names of `Budget`'s fields.

    `--params` and `--tolerance` are two of them, which `--min-params` and `--max-params` replace one by one: these are
    what an infeasible answer advises.

    Raises:
        click.UsageError: they contradict each other.
    """
    asked = {name: options.pop(name) for name in list(options) if name.startswith(("max_", "min_"))}
    asked = {name: value for name, value in asked.items() if value is not None}
    params, tolerance = options.pop("params"), options.pop("tolerance")
    if params is None and tolerance is not None:
        raise click.UsageError("--tolerance is around --params N: give both.")
    if params is not None:
        tolerance = tolerance or 0
        if tolerance >= params:
            raise click.UsageError(f"--tolerance {tolerance} reaches below zero from --params {params}.")
        asked = {"min_params": params - tolerance, "max_params": params + tolerance} | asked
    return asked
