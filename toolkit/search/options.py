"""Option types of the search verb: amounts above zero, and counts such as 1.8M. Imports click alone.

Proved by tests/search/test_command.py.
"""

from __future__ import annotations

import math
import re

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
    if not 1 <= value < 1e15:
        raise click.BadParameter(f"{text!r} is not a count above zero; write it as 1800000 or 1.8M.")
    return round(value)
