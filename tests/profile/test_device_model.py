"""The device model: what it says of shapes, the figures that it rests on, and the tables that are shipped."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import fake_run
from toolkit.profile.device_model import latency_us, modelled_table
from toolkit.profile.profile import Question, profile
from toolkit.specs.cost import CostTable
from toolkit.specs.device import load_profile
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.runtime import Precision
from toolkit.specs.shipped import DEVICES
from toolkit.specs.space import STREAM_CHUNK_FRAMES, Subnet, preset_space

MODELLED = ("pixel7", "rpi4", "smart-speaker")
SPEC = FrontEndSpec()
LABELS = tuple(f"label {number:02d}" for number in range(31))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Run with the space and the number of labels of the shipped tables."""
    return fake_run(tmp_path_factory.mktemp("run"), 32, LABELS)


def conv(channels_out: int, channels_in: int = 64, mode: Mode = "stream") -> Layer:
    """A convolution in the middle of the network."""
    shape = {"channels_in": channels_in, "channels_out": channels_out, "frames": 48, "bins": 32}
    return Layer(operator="conv2d", kernel=3, mode=mode, **shape)


def modelled(device: str, layer: Layer, precision: Precision) -> float:
    """Microseconds that the model gives a layer."""
    known = load_profile(device)
    assert known.model
    return latency_us(layer, precision, known.model, known.cluster, SPEC)


def core_share(table: CostTable, subnet: Subnet) -> float:
    """Share of one core that always-on listening takes."""
    layers = table.key.space.layers(subnet, SPEC, len(LABELS), "stream")
    return sum(table.row(layer).latency_us for layer in layers) / 1e6 / SPEC.seconds(STREAM_CHUNK_FRAMES)


@pytest.mark.parametrize("device", MODELLED)
def test_shipped_tables_are_what_the_verb_makes_now(device: str, run: Path, tmp_path: Path) -> None:
    """To the byte, and there are no others; devices/README.md has the command that makes them anew."""
    made, _ = profile(Question(device=device, run=run, out=tmp_path), lambda *_: None)
    shipped = {path.name: path.read_text() for path in (DEVICES / "tables").glob(f"{device}-*.jsonl")}
    assert shipped == {path.name: path.read_text() for path in made}


@pytest.mark.parametrize("path", sorted((DEVICES / "tables").glob("*.jsonl")), ids=lambda path: path.stem)
def test_shipped_tables_cover_the_space_and_say_that_they_are_modelled(path: Path) -> None:
    """Every layer of the default space has a row, none of which claims to be measured."""
    table = CostTable.load(path)
    assert table.key.space == preset_space("ew-ed-22x", 32)
    layers = table.key.space.all_layers(SPEC, table.key.label_count, table.key.mode)
    assert [row.layer for row in table.rows.values()] == list(layers)
    assert table.kinds == ("modelled",)
    assert {row.note for row in table.rows.values()} == {"device model, not validated"}


def test_default_budgets_bind_and_part_the_devices(run: Path) -> None:
    """Each device affords its smallest subnet and not its largest, the three differ, and README.md has the figures."""
    manifest: RunManifest = Run.open(run).manifest
    readme = (DEVICES / "README.md").read_text()
    affordable = {}
    for device in MODELLED:
        known = load_profile(device)
        table = modelled_table(known, "int8", "stream", manifest)
        shares = {subnet: core_share(table, subnet) for subnet in manifest.space.subnets()}
        smallest, largest = shares[manifest.space.smallest], shares[manifest.space.largest]
        budget = known.budget.max_core_share
        assert budget
        assert smallest < budget < largest
        affordable[device] = {subnet.id for subnet, share in shares.items() if share <= budget}
        percent = [f"{100 * share:.1f} %" for share in (smallest, largest)]
        inside = f"{len(affordable[device])} of {len(shares)}"
        assert f"| {device} | {100 * budget:.0f} % | {percent[0]} | {percent[1]} | {inside} |" in readme
    assert affordable["smart-speaker"] < affordable["rpi4"] < affordable["pixel7"]


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from(MODELLED), st.sampled_from(["int8", "fp32"]))
def test_more_channels_never_cost_less(fewer: int, more: int, device: str, precision: Precision) -> None:
    """In channels out and in channels in."""
    fewer, more = sorted((fewer, more))
    assert modelled(device, conv(fewer), precision) <= modelled(device, conv(more), precision)
    wide_in, narrow_in = conv(64, channels_in=more), conv(64, channels_in=fewer)
    assert modelled(device, narrow_in, precision) <= modelled(device, wide_in, precision)


def test_channels_cost_a_whole_tile() -> None:
    """On a core without dot product int8 computes 16 channels together, so 17 take as long as 32, almost."""
    assert modelled("rpi4", conv(17), "int8") == pytest.approx(modelled("rpi4", conv(32), "int8"), rel=0.02)
    assert modelled("rpi4", conv(33), "int8") > 1.4 * modelled("rpi4", conv(32), "int8")


def test_int8_gains_less_where_there_is_no_dot_product() -> None:
    """About two times on A53 and A72, about four times on A55."""
    gain = {device: modelled(device, conv(64), "fp32") / modelled(device, conv(64), "int8") for device in MODELLED}
    assert gain["rpi4"] == pytest.approx(2.1, rel=0.05)
    assert gain["smart-speaker"] == pytest.approx(2.1, rel=0.05)
    assert gain["pixel7"] == pytest.approx(4.1, rel=0.05)


def test_the_front_end_costs_the_same_in_both_precisions() -> None:
    """It is float always."""
    front = Layer(operator="front_end", channels_in=1, channels_out=1, frames=96, bins=64, mode="stream")
    assert modelled("rpi4", front, "int8") == modelled("rpi4", front, "fp32") > 1000


def test_rates_follow_from_the_published_figures() -> None:
    """The profiles hold what devices/README.md derives from devices/published.csv, to two figures."""
    with (DEVICES / "published.csv").open(newline="") as file:
        rows = {row["figure"]: row for row in csv.DictReader(file)}
    value = {figure: float(row["value"]) for figure, row in rows.items()}
    cycles = {figure: value[figure] * float(row["clock_ghz"]) for figure, row in rows.items()}
    assert all(row["source"] for row in rows.values())

    convolutions = np.array([0, 1, 3, 6])
    ms = [value[f"rpi4-nasbench201-{count}"] for count in convolutions]
    # 15 cells, five at each of 16, 32 and 64 channels on maps of 32, 16 and 8 squared.
    macs_each = sum(5 * 9 * channels**2 * size**2 for channels, size in ((16, 32), (32, 16), (64, 8)))
    a72_fp32 = macs_each / (1.5e6 * np.polyfit(convolutions, ms, 1)[0])
    a72_int8 = a72_fp32 * value["a72-mobilenet-v1-fp32"] / value["a72-mobilenet-v1-int8"]
    a53 = cycles["rpi4-mobilenet-v1-fp32"] / cycles["rpi3b-plus-mobilenet-v1-fp32"]
    a55_fp32 = a72_fp32 * cycles["a72-mobilenet-v1-fp32"] / cycles["a55-mobilenet-v1-fp32"]
    a55_int8 = value["a55-peak-int8"] * a55_fp32 / value["a55-peak-fp32"]
    derived = {
        "rpi4": {"fp32": a72_fp32, "int8": a72_int8},
        "smart-speaker": {"fp32": a53 * a72_fp32, "int8": a53 * a72_int8},
        "pixel7": {"fp32": a55_fp32, "int8": a55_int8},
    }
    for device, rates in derived.items():
        model = load_profile(device).model
        assert model
        assert dict(model.macs_per_cycle) == pytest.approx(rates, rel=0.03)
    assert a55_int8 < value["pixel7-a55-gemm-int8"]
    assert cycles["a72-mobilenet-v2-int8"] / cycles["a53-mobilenet-v2-int8"] == pytest.approx(a53, rel=0.05)
    for device, figure in (("rpi4", "rpi4-memcpy"), ("smart-speaker", "s905x-memcpy"), ("pixel7", "a55-memcpy")):
        model = load_profile(device).model
        assert model
        assert model.bandwidth_mb_s == pytest.approx(2 * value[figure], rel=0.01)


def test_a_device_without_a_model_must_be_measured(run: Path) -> None:
    """The message has the command."""
    with pytest.raises(UserError, match=r"host has no device model for int8.*--target local"):
        modelled_table(load_profile("host"), "int8", "stream", Run.open(run).manifest)
