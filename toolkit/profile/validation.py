"""How far the device model is off on rows that it was not fitted to, and the `[model]` of a profile that follows.

A row is predicted by parameters that were fitted without any network of its family: MobileNet v1 at all widths and
sizes is one; that gives the error band of a device. Proved by tests/profile/test_calibration.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toolkit.profile.calibration import Calibration, Parameters, calibrate, device_model, predicted_ms
from toolkit.profile.published import PUBLISHED, published_rows
from toolkit.profile.published_row import Row
from toolkit.specs.device import NOT_VALIDATED, DeviceModel, DeviceProfile
from toolkit.specs.runtime import Precision

PUBLISHED_AS = {
    "rpi4": "Raspberry Pi 4B",
    "rpi5": "Raspberry Pi 5",
    "rpi-zero2w": "Raspberry Pi Zero 2 W",
    "pixel6": "Pixel 6",
    "pixel7": "Pixel 7",
    "smart-speaker": "",
}
"""What published rows call the devices that are shipped; the smart speaker is no product, so no row is of it."""


class Judged(NamedTuple):
    """A row, and what the model said of it."""

    row: Row
    held_out_ms: float
    """By parameters fitted without its family."""
    shipped_ms: float | None
    """By the parameters that are shipped, where they were not fitted to this row."""

    @property
    def error(self) -> float:
        """Of the held-out prediction, as a share of the measured latency."""
        return _off(self.held_out_ms, self.row)


def judge(rows: Sequence[Row], report: Callable[[int, int], object] = lambda *_: None) -> list[Judged]:
    """Predict rows, published or new ones; `report` hears how many of the fits that this takes are done."""
    published = published_rows()
    fitted_to, shipped = set(published), shipped_parameters()
    without: dict[tuple[str, str], Parameters] = {}
    wanted = sorted({(row.kernels, row.architecture.family) for row in rows})
    for done, (kernels, family) in enumerate(wanted):
        report(done, len(wanted))
        same = [row for row in published if row.kernels == kernels]
        others = [row for row in same if row.architecture.family != family]
        without[kernels, family] = calibrate(others) if len(others) < len(same) else shipped
    return [
        Judged(
            row,
            predicted_ms(row, without[row.kernels, row.architecture.family]),
            None if row.exact and row in fitted_to else predicted_ms(row, shipped),
        )
        for row in rows
    ]


def errors_without_device(rows: Sequence[Row]) -> dict[str, float]:
    """Median error on each device by a fit to the other `rows` alone: what a board without rows may expect."""
    errors = {}
    for device in sorted({row.device for row in rows}):
        parameters = calibrate(row for row in rows if row.device != device)
        own = [_off(predicted_ms(row, parameters), row) for row in rows if row.device == device]
        errors[device] = float(np.median(own))
    return errors


def shipped_parameters() -> Parameters:
    """What the last calibration found."""
    return Calibration.load(PUBLISHED / "calibration.json").parameters


def modelled(profile: DeviceProfile, parameters: Parameters, judged: Sequence[Judged]) -> DeviceModel:
    """The `[model]` of a shipped profile: its numbers from a calibration, its bands from held-out rows."""
    device = PUBLISHED_AS[profile.name]
    model = device_model(profile.cluster, device, published_rows(), parameters)
    rows = [one for one in judged if one.row.device == device and one.row.kernels == model.kernels]
    bands = {precision: error_band(rows, precision) for precision in model.precisions}
    return model.model_copy(update={"error_band": bands})


def model_toml(model: DeviceModel) -> str:
    """`[model]` as it stands in a profile."""
    plain = model.model_dump()
    lines = ["[model]"]
    lines += [f"{key} = {json.dumps(plain[key])}" for key in plain if key not in ("precisions", "error_band")]
    lines += ["", "[model.error_band]", *(f"{key} = {json.dumps(band)}" for key, band in plain["error_band"].items())]
    for precision, numbers in plain["precisions"].items():
        rates = ", ".join(f"{kind} = {rate}" for kind, rate in numbers.pop("macs_per_cycle").items())
        lines += ["", f"[model.precisions.{precision}]", f"macs_per_cycle = {{ {rates} }}"]
        lines += [f"{key} = {json.dumps(number)}" for key, number in numbers.items()]
    return "\n".join(lines) + "\n"


def error_band(judged: Sequence[Judged], precision: Precision) -> str:
    """In words, with what it was tested on; matrix products alone are no network."""
    rows = [one for one in judged if one.row.precision == precision and one.row.is_network]
    if not rows:
        return NOT_VALIDATED
    errors = [one.error for one in rows]
    threads = " or ".join(str(number) for number in sorted({one.row.threads for one in rows}))
    networks = ", ".join(sorted({one.row.architecture.family for one in rows}))
    untested = [] if any(one.row.threads == 1 for one in rows) else ["one thread"]
    untested += [] if any(is_dense(one.row) for one in rows) else ["dense 3x3 networks"]
    band = f"median {100 * np.median(errors):.0f} %, at most {100 * max(errors):.0f} % on {len(rows)} published rows"
    band += f" ({networks}; {threads} threads), each family left out of the fit"
    return band + (f"; untested: {', '.join(untested)}" if untested else "")


def is_dense(row: Row) -> bool:
    """A network of k x k convolutions over all channels, none of them depthwise."""
    kinds = {operation.kind for operation in row.architecture.operations}
    return "dense" in kinds and "depthwise" not in kinds


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's, ties sharing their mean rank."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _off(predicted_ms: float, row: Row) -> float:
    return abs(predicted_ms / row.latency_ms - 1)


def _ranks(values: ArrayLike) -> NDArray[np.float64]:
    _, place, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
