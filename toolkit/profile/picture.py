"""A cost table as a picture, PNG and SVG: latency by layer and width, and the staircase of channel counts.

Same table, same bytes. Colours are Okabe and Ito's. Not the numbers: those are the table's.
Proved by tests/profile/test_picture.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from toolkit.specs.cost import CostRow, CostTable
from toolkit.specs.files import new_file
from toolkit.specs.front_end import FrontEndSpec

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = {"measured": "o", "interpolated": "x", "modelled": "s"}
FORMATS = ("png", "svg")
PIXELS_PER_INCH = 150


def draw_table(table: CostTable, front_end: FrontEndSpec, path: Path) -> list[Path]:
    """Write `path` with the endings .png and .svg; gives both."""
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    layers, stairs = figure.subplots(1, 2)
    key = table.key
    figure.suptitle(
        f"{key.device}: {key.runtime} {key.runtime_version}, {key.precision}, {key.mode}, "
        f"threads: {key.threads}, {' and '.join(table.kinds)}",
        fontsize=11,
    )
    _layers(table, front_end, layers)
    _stairs(table, stairs)
    written = [path.with_name(f"{path.name}.{ending}") for ending in FORMATS]
    for each in written:
        # A date in the file and random ids would make others of the same numbers.
        with new_file(each) as temporary, mpl.rc_context({"svg.hashsalt": "aec-toolkit"}):
            metadata = {"Date": None} if each.suffix == ".svg" else None
            figure.savefig(temporary, format=each.suffix[1:], dpi=PIXELS_PER_INCH, metadata=metadata)
    return written


def _layers(table: CostTable, front_end: FrontEndSpec, axes: Axes) -> None:
    """A bar for each layer of the smallest and of the largest subnet, from the first layer down."""
    key = table.key
    places: dict[tuple[str, int], int] = {}
    for number, (name, subnet) in enumerate({"largest": key.space.largest, "smallest": key.space.smallest}.items()):
        rows = [table.row(layer) for layer in key.space.layers(subnet, front_end, key.label_count, key.mode)]
        steps = list(_numbered(rows))
        for step in steps:
            places.setdefault(step, len(places))
        total_ms = sum(row.latency_us for row in rows) / 1e3
        label = f"{name} subnet, sum {total_ms:.3g} ms"
        beside = [places[step] + 0.38 * number for step in steps]
        axes.barh(beside, [row.latency_us / 1e3 for row in rows], 0.36, color=COLOURS[number], label=label)
    axes.set_yticks([place + 0.19 for place in places.values()], [step for step, _ in places], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("latency of one inference (ms)")
    axes.set_title("by layer", fontsize=10)
    axes.legend(fontsize=8)


def _numbered(rows: Sequence[CostRow]) -> Iterator[tuple[str, int]]:
    """What each layer is, whatever its width, and which of its like: `conv2d 24x16`, 2. A shallow subnet lacks some."""
    seen: Counter[str] = Counter()
    for row in rows:
        step = f"{row.layer.operator} {row.layer.frames}x{row.layer.bins}"
        seen[step] += 1
        yield step, seen[step]


def _stairs(table: CostTable, axes: Axes) -> None:
    """Time for each input channel over output channels: a rest costs a whole tile of the kernel."""
    by_size: dict[tuple[int, int], list[CostRow]] = defaultdict(list)
    for row in table.rows.values():
        if row.layer.operator == "conv2d" and row.layer.channels_in > 1:
            by_size[row.layer.frames, row.layer.bins].append(row)
    for colour, ((frames, bins), rows) in zip(COLOURS, sorted(by_size.items(), reverse=True), strict=False):
        for kind in sorted({row.kind for row in rows}):
            own = sorted((row for row in rows if row.kind == kind), key=lambda row: row.layer.channels_out)
            axes.plot(
                [row.layer.channels_out for row in own],
                [row.latency_us / row.layer.channels_in for row in own],
                MARKERS[kind],
                color=colour,
                markersize=4,
                label=f"{frames}x{bins}, {kind}",
            )
    axes.set_xlabel("output channels of a 3x3 convolution")
    axes.set_ylabel("latency for each input channel (us)")
    axes.set_ylim(bottom=0)
    axes.set_title("the staircase of channel counts", fontsize=10)
    axes.legend(fontsize=8, title="frames x bins", title_fontsize=8)
