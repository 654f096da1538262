"""`Pick`: search's answer, which `export` takes. Proved by tests/specs/test_records.py."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from toolkit.specs.cost import PredictedCost
from toolkit.specs.device import Budget
from toolkit.specs.errors import UserError
from toolkit.specs.layer import Mode
from toolkit.specs.record import Record
from toolkit.specs.runtime import Precision, Runtime
from toolkit.specs.shipped import OUT


class Pick(Record):
    """The best subnet found under a budget on one device."""

    device: str
    subnet: str
    run_name: str
    run_hash: str
    table_hash: str
    runtime: Runtime
    precision: Precision
    mode: Mode
    budget: Budget
    predicted: PredictedCost
    mean_average_precision: float = Field(ge=0, le=1)
    """On validation, in float: before quantization."""
    method: str
    seed: int
    candidates: int = Field(ge=1)
    """How many subnets inside the budget were compared."""
    created_utc: str


def pick_path(pick: Pick, out: Path = OUT) -> Path:
    """Where a pick lies below `out`; the same answer again takes the same place."""
    return out / "picks" / f"{pick.device}-{pick.runtime}-{pick.precision}-{pick.mode}-{pick.subnet}.json"


def latest_pick(device: str, out: Path = OUT) -> tuple[Path, Pick]:
    """The pick of a device that was made last, and its file.

    Raises:
        UserError: there is none, or one is broken.
    """
    picks = [(path, Pick.load(path)) for path in sorted((out / "picks").glob(f"{device}-*.json"))]
    picks = [(path, pick) for path, pick in picks if pick.device == device]
    if not picks:
        raise UserError(
            f"no pick for {device} in {out / 'picks'}. Make one: python -m toolkit.search --device {device}"
        )
    return max(picks, key=lambda entry: entry[1].created_utc)
