"""The fronts of all devices as one plotly figure: plain data, coloured by the page's own style. Not the page.

A marker is filled where latency was measured, half filled where some rows are interpolated, open where it is modelled.
Proved by tests/report/test_report.py and, as people see it, tests/report/test_browser.py.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Any

from toolkit.costs.bounds import latency_limit_ms
from toolkit.report.findings import Device, Findings
from toolkit.report.words import FIGURES, figure, left_out, standing
from toolkit.search.front import Scored, staircase
from toolkit.specs.cost import Kind

MARKERS: dict[Kind, str] = {"measured": "circle", "interpolated": "circle-dot", "modelled": "circle-open"}
STARS: dict[Kind, str] = {"measured": "star", "interpolated": "star-dot", "modelled": "star-open"}
_MOST = 400
"""Subnets off the front that are drawn of one device."""
_TICKS_MS = tuple(step * 10.0**power for power in range(-4, 6) for step in (1, 2, 5))


def chart_json(findings: Findings) -> str:
    """The figure, checked by plotly, as JSON that may stand inside a script element: plotly writes no `<` into it."""
    import plotly.graph_objects as go  # type: ignore[import-untyped]

    traces = [trace for at, device in enumerate(findings.devices) for trace in _traces(device, at)]
    scores = [each.mean_average_precision for device in findings.devices for each in device.scored]
    margin = 0.05 * (max(scores) - min(scores)) or 0.01
    span = "chunk" if findings.asked.mode == "stream" else "10 s clip"
    layout = {
        "xaxis": {
            "title": {"text": f"latency of one {span} (ms)"},
            "type": "log",
            "tickvals": _TICKS_MS,
            "ticktext": [f"{tick:g}" for tick in _TICKS_MS],
        },
        "yaxis": {"title": {"text": "mAP on validation"}, "range": [min(scores) - margin, max(scores) + margin]},
        "margin": {"l": 60, "r": 10, "t": 10, "b": 50},
        "showlegend": False,
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "template": "none",
    }
    drawn: str = go.Figure([go.Scatter(trace) for trace in traces], layout).to_json()
    return drawn


def _traces(device: Device, at: int) -> Iterator[dict[str, Any]]:
    """The parts of one device that the page can show or hide; `meta` says which they are."""
    on_front = set(device.front)
    for is_inside in (False, True):
        meta = {"device": device.name, "colour": at, "inside": is_inside}
        front = [each for each in device.front if each.is_inside is is_inside]
        others = [each for each in device.scored if each.is_inside is is_inside and each not in on_front]
        others = others[:: 1 + len(others) // _MOST]
        faint = {"size": 4, "opacity": 0.45 if is_inside else 0.25}
        yield _points(others, device, meta | {"part": "others"}, faint)
        x, y = staircase(front)
        line = {"shape": "hv", "width": 2 if is_inside else 1, "dash": "solid" if is_inside else "dot"}
        yield {"x": x, "y": y, "mode": "lines", "line": line, "meta": meta | {"part": "line"}, "hoverinfo": "skip"}
        yield _points(front, device, meta | {"part": "front"}, {"size": 9 if is_inside else 7})
    meta = {"device": device.name, "colour": at, "inside": True}
    limit_ms = latency_limit_ms(device.budget, device.scored[0].cost)
    if limit_ms is not None:
        scores = [each.mean_average_precision for each in device.scored]
        text = f"<b>{html.escape(device.name)}</b><br>budget: latency at most {limit_ms:.4g} ms"
        yield {
            "x": [limit_ms] * 2,
            "y": [min(scores), max(scores)],
            "mode": "lines",
            "line": {"width": 1.5, "dash": "dash"},
            "hovertemplate": f"{text}<extra></extra>",
            "meta": meta | {"part": "budget"},
        }
    if device.best:
        star = {"size": 17, "line": {"width": 2}}
        yield _points([device.best], device, meta | {"part": "pick"}, star)


def _points(some: Sequence[Scored], device: Device, meta: dict[str, Any], marker: dict[str, Any]) -> dict[str, Any]:
    symbols = STARS if meta["part"] == "pick" else MARKERS
    return {
        "x": [round(each.cost.latency_ms.value, 5) for each in some],
        "y": [round(each.mean_average_precision, 5) for each in some],
        "mode": "markers",
        "marker": marker | {"symbol": [symbols[each.cost.latency_ms.kind] for each in some]},
        "text": [_hover(each, device) for each in some],
        "hovertemplate": "%{text}<extra></extra>",
        "meta": meta,
    }


def _hover(each: Scored, device: Device) -> str:
    """What stands beside a point, as plotly's few tags; every text is escaped."""
    cost = each.cost
    known: dict[str, str] = {
        name: found.kind
        for name in ("latency_ms", "core_share", "memory_mb")
        if (found := getattr(cost, name)) is not None
    }
    known["memory_mb"] += f", {left_out(device)}"
    known |= dict.fromkeys(("file_mb", "params", "macs"), "counted")
    star = ", the pick" if each is device.best else ""
    lines = [f"subnet {each.subnet}{star}", f"mAP {each.mean_average_precision:.3f} (validation)"]
    lines += [f"{title} {figure(cost, name)} ({known[name]})" for name, title in FIGURES.items() if name in known]
    lines.append(standing(each, device))
    return "<br>".join([f"<b>{html.escape(device.name)}</b>", *map(html.escape, lines)])
