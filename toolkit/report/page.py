"""From findings to one HTML file that loads nothing: style, script, plotly.js and data stand inside it.

Texts from files go through jinja2's escaping; a policy in the page forbids every request, and every script whose hash
it does not name. Proved by tests/report/test_report.py and tests/report/test_browser.py.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.report import words
from toolkit.report.chart import MARKERS, STARS, chart_json
from toolkit.report.findings import Findings
from toolkit.specs.cost import CostRow, CostTable
from toolkit.specs.files import write_text

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Layers:
    """A cost table as it stands on the page: notes that many rows share are told once, under a letter."""

    rows: tuple[tuple[CostRow, str], ...]
    """Each with its letter or its own note."""
    legend: dict[str, str]
    """Note by letter."""


def write_page(findings: Findings, path: Path) -> int:
    """Write the page, whole or not at all; gives its size in bytes."""
    text = render(findings)
    write_text(path, text)
    return len(text.encode())


def render(findings: Findings) -> str:
    """The page."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

    scripts = {"plotly": get_plotlyjs(), "script": (_HERE / "page.js").read_text(encoding="utf-8")}
    return (
        _environment()
        .get_template("page.html")
        .render(
            findings=findings,
            asked=findings.asked,
            manifest=findings.manifest,
            known=words.how_known(findings),
            chart=chart_json(findings),
            style=(_HERE / "page.css").read_text(encoding="utf-8"),
            policy=_policy(*scripts.values()),
            **scripts,
        )
    )


def layers(table: CostTable) -> Layers:
    """The rows of a table with their notes."""
    often = [note for note, count in Counter(row.note for row in table.rows.values()).items() if note and count > 1]
    letters = {note: f"note {number}" for number, note in enumerate(often, start=1)}
    rows = tuple((row, letters.get(row.note, row.note)) for row in table.rows.values())
    return Layers(rows, {letter: note for note, letter in letters.items()})


def _policy(*scripts: str) -> str:
    """What the page may do: run these scripts, style itself and hold pictures; nothing is fetched."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": _count, "layers": layers, "minute": _minute}
    environment.globals |= {
        "figure": words.figure,
        "figures": words.FIGURES,
        "small_print": words.small_print,
        "standing": words.standing,
        "NOTHING": words.NOTHING,
        "kinds": words.kinds,
        "weakest": words.weakest,
        "other_table": words.other_table,
        "budget_source": words.budget_source,
        "markers": _markers(),
    }
    return environment


def _count(value: float | None, digits: int = 0) -> str:
    """`12,345`; a dash where nothing is known."""
    return words.NOTHING if value is None else f"{value:,.{digits}f}"


def _minute(utc: str) -> str:
    """`2026-01-31 12:00 UTC` of an ISO 8601 time; another text as it is."""
    try:
        return f"{datetime.fromisoformat(utc).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return utc


def _markers() -> dict[str, Any]:
    signs = {"circle": "●", "circle-dot": "⊙", "circle-open": "○", "star": "★", "star-dot": "✪", "star-open": "☆"}
    return {kind: (signs[MARKERS[kind]], signs[STARS[kind]]) for kind in MARKERS}
