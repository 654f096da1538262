"""What each border does: a stream and an isolated 10 s window against one pass over the whole recording, as a picture.

The subnet that `search` picks for pixel7 hears the demo's synthesized scene in three ways. What is shown is the largest
difference of a frame of each feature map from the whole pass, as a share of that map's span: of the window, because
zeros stand at its borders, and of the stream, around a seam between two chunks. The figure is the stream's largest.
Writes docs/streaming-borders.svg, which docs/streaming.md explains.
Run: python -m benchmarks.borders [--quick]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from benchmarks._model_files import SUBNET
from toolkit.audio.scene import demo_scene
from toolkit.export.export import GOLDEN_SEED, load_subnet
from toolkit.frontend import LogMel
from toolkit.specs.files import new_file
from toolkit.specs.run import Run
from toolkit.specs.space import CLIP_SECONDS, STREAM_CHUNK_FRAMES, TIME_STRIDE
from toolkit.supernet.static import StaticNet
from toolkit.supernet.streaming import StreamingNet

GOAL = 1e-4
PICTURE = Path(__file__).parent.parent / "docs" / "streaming-borders.svg"
FIRST_CHUNK = 10
"""The window begins where this chunk of the stream does: at 9.6 s, while the alarm sounds."""
SHOWN_S, LEAST, VISIBLE = 0.56, 1e-8, 1e-5
"""Seconds beside a border; the least difference on the scale; the least that counts as one."""
WINDOW_COLOUR, STREAM_COLOUR = "#D55E00", "#0072B2"

Curve = NDArray[np.float64]
"""A difference for each frame [T]."""


@dataclass(frozen=True)
class Map:
    """Feature map by name: log-mel, or what a convolution gives; `stride` is log-mel frames for each of its own."""

    name: str
    stride: int
    whole: Tensor

    def difference(self, other: Tensor, first: int) -> Curve:
        """Of frames `first`, ... of the whole pass from [1, C, T, F]: the largest, over the span of the whole map."""
        same = self.whole[:, :, first : first + other.shape[2]]
        span = self.whole.max() - self.whole.min()
        return np.asarray(((other - same).abs().amax((0, 1, 3)) / span).double().numpy())


@dataclass(frozen=True)
class Differences:
    """Of one feature map from the whole pass, frame by frame."""

    name: str
    stride: int
    window: Curve
    stream: Curve
    """All frames of the recording that the stream has given so far."""


def main() -> None:
    """Compute, draw, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="draw nothing")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    run = Run.open(None)
    front_end, net = LogMel(run.manifest.front_end), load_subnet(run, run.manifest.space.parse(SUBNET))
    waveform = torch.from_numpy(demo_scene(front_end.spec.sample_rate_hz, GOLDEN_SEED).waveform)[None]
    with torch.inference_mode():
        log_mel = front_end(waveform)
        found = differences(front_end, net, waveform, log_mel)
    print(f"{'largest difference / span':<26} {'window':>10} {'frames':>12} {'stream':>10}")
    for each in found:
        frames = f"{np.sum(each.window > VISIBLE)} of {len(each.window)}"
        print(f"{each.name:<26} {each.window.max():10.1e} {frames:>12} {each.stream.max():10.1e}")
    if not quick:
        draw(found, log_mel[0, 0].numpy(), front_end.spec.frames_per_second)
    worst = max(float(each.stream.max()) for each in found)
    detail = {
        each.name: {
            "window": float(f"{each.window.max():.1e}"),
            "window_frames": [int(np.sum(each.window > VISIBLE)), len(each.window)],
            "stream": float(f"{each.stream.max():.1e}"),
        }
        for each in found
    }
    result = {"name": "borders", "figure": float(f"{worst:.1e}"), "unit": "of a feature map's span", "goal": GOAL}
    print(json.dumps({**result, "holds": worst <= GOAL, "detail": {"subnet": SUBNET, **detail}}))


def differences(front_end: LogMel, net: StaticNet, waveform: Tensor, log_mel: Tensor) -> list[Differences]:
    """Of log-mel and of each convolution, for the window and for the stream; waveform [1, S], log-mel [1, 1, T, F]."""
    spec = front_end.spec
    begin_s = FIRST_CHUNK * spec.seconds(STREAM_CHUNK_FRAMES)
    begin = round(begin_s * spec.sample_rate_hz)
    window = _maps(net, front_end(waveform[:, begin : begin + CLIP_SECONDS * spec.sample_rate_hz]))
    streamed = _streamed(front_end, net, waveform)
    found = []
    for name, whole in _maps(net, log_mel).items():
        stride = log_mel.shape[2] // whole.shape[2]
        one = Map(name, stride, whole)
        first = FIRST_CHUNK * STREAM_CHUNK_FRAMES // stride
        found.append(Differences(name, stride, one.difference(window[name], first), one.difference(streamed[name], 0)))
    return found


def _maps(net: StaticNet, log_mel: Tensor) -> dict[str, Tensor]:
    """Log-mel and what each convolution gives, [1, C, T, F]."""
    return {"log-mel": log_mel} | {name: x for name, x in net.taps(log_mel).items() if name.startswith("conv")}


def _streamed(front_end: LogMel, net: StaticNet, waveform: Tensor) -> dict[str, Tensor]:
    """The same maps from a stream of chunks, the frames before the signal dropped."""
    streaming = StreamingNet(net, front_end.delay_frames)
    samples, state = front_end.initial_state(), streaming.initial_state()
    parts: dict[str, list[Tensor]] = {}
    hop = STREAM_CHUNK_FRAMES * front_end.spec.hop_samples
    for begin in range(0, waveform.shape[1] - hop + 1, hop):
        log_mel, samples = front_end.stream(waveform[:, begin : begin + hop], samples)
        taps, state = streaming.taps(log_mel, state)
        for name, x in {"log-mel": log_mel, **taps}.items():
            parts.setdefault(name, []).append(x)
    joined = {"log-mel": torch.cat(parts["log-mel"], 2)[:, :, front_end.delay_frames :]}
    delay = front_end.delay_frames
    for number in range(1, len(net.convs) + 1):
        delay += 1
        joined[f"conv{number}"] = torch.cat(parts[f"conv{number}"], 2)[:, :, delay:]
        if number in net.pool_after:
            delay = -(-delay // 2)
    return joined


def draw(found: list[Differences], log_mel: NDArray[np.float32], frames_per_second: float) -> None:
    """The picture: the scene; the feature frames of both ways; each map beside a border of the window, and at a seam.

    Args:
        found: in the order of the network.
        log_mel: of the scene [T, F].
        frames_per_second: of log-mel.
    """
    figure = Figure(figsize=(10, 8.2), layout="constrained")
    FigureCanvasAgg(figure)
    halves = figure.subfigures(2, 1, height_ratios=(1.0, 1.1), squeeze=False)
    upper, lower = halves[0, 0], halves[1, 0]
    scene, last = upper.subplots(2, 1, sharex=True, height_ratios=(1, 1.2))
    begin_s = FIRST_CHUNK * STREAM_CHUNK_FRAMES / frames_per_second
    _draw_scene(scene, log_mel, frames_per_second, begin_s)
    _draw_last(last, found[-1], frames_per_second, begin_s)

    panels = lower.subplots(1, 3, sharey=True)
    shown = int(SHOWN_S * frames_per_second) // TIME_STRIDE * TIME_STRIDE
    clip = len(found[0].window)
    seam = (FIRST_CHUNK + 1) * STREAM_CHUNK_FRAMES
    titles = (
        "isolated window: its first half second",
        "isolated window: its last half second",
        "stream: around the end of a chunk",
    )
    places = ((0, shown), (clip - shown, clip), (seam - shown // 2 // TIME_STRIDE * TIME_STRIDE, seam + shown // 2))
    for number, (axes, title, place) in enumerate(zip(panels, titles, places, strict=True)):
        curves = [(each.stream if number == len(panels) - 1 else each.window, each.stride) for each in found]
        cells = _draw_maps(axes, curves, place, frames_per_second)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("seconds of the recording" if number == len(panels) - 1 else "seconds of the window")
    panels[-1].axvline(seam / frames_per_second, color="white", linewidth=1.2, linestyle="--")
    panels[0].set_yticks(range(len(found)), [each.name for each in found])
    panels[0].invert_yaxis()
    bar = lower.colorbar(cells, ax=list(panels), pad=0.01)
    bar.set_label("difference / span of the map", fontsize=9)
    _save(figure)


def _draw_scene(axes: Axes, log_mel: NDArray[np.float32], frames_per_second: float, begin_s: float) -> None:
    extent = (0.0, len(log_mel) / frames_per_second, 0.0, float(log_mel.shape[1]))
    coarse = log_mel.reshape(-1, TIME_STRIDE, log_mel.shape[1]).mean(1)
    axes.imshow(coarse.T, origin="lower", aspect="auto", extent=extent, cmap="magma", interpolation="nearest")
    for edge_s in (begin_s, begin_s + CLIP_SECONDS):
        axes.axvline(edge_s, color="white", linewidth=1.5)
    axes.text(begin_s + CLIP_SECONDS / 2, 55, "a 10 s window", color="white", ha="center", fontsize=10)
    axes.set_ylabel("mel band")
    axes.set_title("the scene's log-mel: an alarm at 5 s, a siren at 17 s", fontsize=10)


def _draw_last(axes: Axes, last: Differences, frames_per_second: float, begin_s: float) -> None:
    frame_s = last.stride / frames_per_second
    for curve, first_s, colour, label in (
        (last.window, begin_s, WINDOW_COLOUR, "the window computed alone, zeros at its borders"),
        (last.stream, 0.0, STREAM_COLOUR, "the stream, in chunks of 0.96 s"),
    ):
        edges_s = first_s + frame_s * np.arange(len(curve) + 1)
        axes.stairs(np.maximum(curve, LEAST), edges_s, color=colour, label=label, baseline=None, linewidth=1.2)
    axes.set_yscale("log")
    axes.set_ylim(LEAST / 2, 2)
    axes.axhline(GOAL, color="0.5", linestyle=":", linewidth=1)
    axes.text(0.2, GOAL * 1.3, "allowed: 1e-4", fontsize=8, color="0.3")
    axes.set_ylabel("difference / span")
    axes.set_xlabel("seconds")
    axes.set_title(
        f"{last.name}, the last feature map: difference from one pass over all 30 s (none: 1e-8)", fontsize=10
    )
    axes.legend(fontsize=7.5, loc="upper right")
    axes.grid(visible=True, axis="y", color="0.9")


def _draw_maps(
    axes: Axes, curves: list[tuple[Curve, int]], place: tuple[int, int], frames_per_second: float
) -> PolyCollection:
    """A row for each map, a cell for each of its frames, between two log-mel frames."""
    corners, values = [], []
    for row, (curve, stride) in enumerate(curves):
        for frame in range(place[0] // stride, -(-place[1] // stride)):
            left, right = (each * stride / frames_per_second for each in (frame, frame + 1))
            corners.append([(left, row - 0.46), (right, row - 0.46), (right, row + 0.46), (left, row + 0.46)])
            values.append(max(float(curve[frame]), LEAST))
    cells = PolyCollection(corners, cmap="viridis", norm=LogNorm(LEAST, 1.0), edgecolors="white", linewidths=0.25)
    cells.set_rasterized(True)
    cells.set_array(np.array(values))
    axes.add_collection(cells)
    axes.set_xlim(place[0] / frames_per_second, place[1] / frames_per_second)
    axes.set_ylim(-0.5, len(curves) - 0.5)
    return cells


def _save(figure: Figure) -> None:
    with mpl.rc_context({"svg.hashsalt": PICTURE.name}), new_file(PICTURE) as temporary:
        figure.savefig(temporary, format="svg", dpi=160, metadata={"Date": None})


if __name__ == "__main__":
    main()
