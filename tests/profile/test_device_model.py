"""The device model: what it says of shapes, the figures that it rests on, and the tables that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import fake_run
from toolkit.profile.device_model import latency_us, modelled_table
from toolkit.profile.profile import MODES, PRECISIONS
from toolkit.specs.cost import CostTable
from toolkit.specs.device import load_profile
from toolkit.specs.errors import UserError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Layer, Mode
from toolkit.specs.run import Run, RunManifest
from toolkit.specs.runtime import Precision
from toolkit.specs.shipped import DEVICES
from toolkit.specs.space import STREAM_CHUNK_FRAMES, Subnet, preset_space

MODELLED = ("pixel6", "pixel7", "rpi-zero2w", "rpi4", "rpi5", "smart-speaker")
SPEC = FrontEndSpec()
LABELS = tuple(f"label {number:02d}" for number in range(31))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Run with the space and the number of labels of the shipped tables."""
    return fake_run(tmp_path_factory.mktemp("run"), 32, LABELS)


def conv(channels_out: int, channels_in: int = 64, mode: Mode = "stream", frames: int = 48) -> Layer:
    """A convolution in the middle of the network."""
    shape = {"channels_in": channels_in, "channels_out": channels_out, "frames": frames, "bins": 32}
    return Layer(operator="conv2d", kernel=3, mode=mode, **shape)


def modelled(device: str, layer: Layer, precision: Precision, threads: int = 1) -> float:
    """Microseconds that the model gives a layer."""
    known = load_profile(device)
    assert known.model
    return latency_us(layer, precision, known.model, known.cluster, SPEC, threads)


def core_share(table: CostTable, subnet: Subnet) -> float:
    """Share of one core that always-on listening takes."""
    layers = table.key.space.layers(subnet, SPEC, len(LABELS), "stream")
    return sum(table.row(layer).latency_us for layer in layers) / 1e6 / SPEC.seconds(STREAM_CHUNK_FRAMES)


@pytest.mark.parametrize("device", MODELLED)
def test_shipped_tables_are_what_the_model_makes_now(device: str, run: Path, tmp_path: Path) -> None:
    """To the byte, and there are no others; devices/README.md has the command that makes them anew."""
    manifest: RunManifest = Run.open(run).manifest
    made = {}
    for mode in MODES:
        for precision in PRECISIONS:
            table = modelled_table(load_profile(device), precision, mode, manifest)
            table.save(tmp_path / table.key.file_name)
            made[table.key.file_name] = (tmp_path / table.key.file_name).read_text()
    assert {path.name: path.read_text() for path in (DEVICES / "tables").glob(f"{device}-tflite-*.jsonl")} == made


def test_there_are_tables_of_the_modelled_devices_alone() -> None:
    """Four each, and nothing else in their folder."""
    assert len(list((DEVICES / "tables").iterdir())) == 4 * len(MODELLED)


@pytest.mark.parametrize("path", sorted((DEVICES / "tables").glob("*.jsonl")), ids=lambda path: path.stem)
def test_shipped_tables_cover_the_space_and_say_that_they_are_modelled(path: Path) -> None:
    """Every layer of the default space has a row, none of which claims to be measured."""
    table = CostTable.load(path)
    assert table.key.space == preset_space("ew-ed-22x", 32)
    layers = table.key.space.all_layers(SPEC, table.key.label_count, table.key.mode)
    assert [row.layer for row in table.rows.values()] == list(layers)
    assert table.kinds == ("modelled",)
    model = load_profile(table.key.device).model
    assert model
    assert {row.note for row in table.rows.values()} == {f"device model, {model.band(table.key.precision)}"}


def test_default_budgets_bind_and_part_the_devices(run: Path) -> None:
    """Each device affords its smallest subnet and not its largest, and devices/README.md has the figures."""
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
        affordable[device] = sum(share <= budget for share in shares.values())
        percent = [f"{100 * share:.1f} %" for share in (smallest, largest)]
        inside = f"{affordable[device]} of {len(shares)}"
        assert f"| {device} | {100 * budget:.0f} % | {percent[0]} | {percent[1]} | {inside} |" in readme
    assert affordable["smart-speaker"] < affordable["rpi4"] < affordable["rpi5"]


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from(MODELLED), st.sampled_from(["int8", "fp32"]))
def test_more_channels_never_cost_less(fewer: int, more: int, device: str, precision: Precision) -> None:
    """In channels out and in channels in."""
    fewer, more = sorted((fewer, more))
    assert modelled(device, conv(fewer), precision) <= modelled(device, conv(more), precision)
    wide_in, narrow_in = conv(64, channels_in=more), conv(64, channels_in=fewer)
    assert modelled(device, narrow_in, precision) <= modelled(device, wide_in, precision)


@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from(MODELLED), st.sampled_from(["int8", "fp32"]))
def test_more_frames_never_cost_less(fewer: int, more: int, device: str, precision: Precision) -> None:
    """Whether a map still fits the cache or not."""
    fewer, more = sorted((fewer, more))
    assert modelled(device, conv(64, frames=fewer), precision) <= modelled(device, conv(64, frames=more), precision)


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 4),
    st.sampled_from(MODELLED),
    st.sampled_from(["int8", "fp32"]),
)
def test_nothing_is_faster_than_the_peak(
    channels_in: int, channels_out: int, threads: int, device: str, precision: Precision
) -> None:
    """Of all the cores that compute; and more threads never take longer."""
    known, layer = load_profile(device), conv(channels_out, channels_in, "clip")
    assert known.model
    peak = known.model.precisions[precision].peak_macs_per_cycle
    taken_us = modelled(device, layer, precision, threads)
    assert layer.macs / taken_us <= 1e3 * known.cluster.clock_ghz * peak * threads
    assert modelled(device, layer, precision, threads + 1) <= taken_us


def test_channels_cost_a_whole_tile() -> None:
    """On a core without dot product int8 computes 16 channels together, so 17 take as long as 32, almost."""
    assert modelled("rpi4", conv(17), "int8") == pytest.approx(modelled("rpi4", conv(32), "int8"), rel=0.02)
    assert modelled("rpi4", conv(33), "int8") > 1.4 * modelled("rpi4", conv(32), "int8")


def test_int8_gains_less_where_there_is_no_dot_product() -> None:
    """Two to three times on A53 and A72, four and more on A55, whose peak is four times that of float."""
    gain = {device: modelled(device, conv(64), "fp32") / modelled(device, conv(64), "int8") for device in MODELLED}
    assert 2 < gain["smart-speaker"] < 3.3
    assert 2 < gain["rpi4"] < 3.3
    assert 4 < gain["pixel7"] < 6


def test_a_slower_clock_is_slower_by_as_much() -> None:
    """Two boards with one core differ in arithmetic by their clocks: Zero 2 W (1.0 GHz) and the speaker (1.41 GHz)."""
    ratio = modelled("rpi-zero2w", conv(64), "int8") / modelled("smart-speaker", conv(64), "int8")
    assert ratio == pytest.approx(1.41, rel=0.02)


def test_a_map_that_leaves_the_cache_costs_more_than_its_size() -> None:
    """Its numbers then come from memory, a pooling takes almost nothing else."""

    def pooling(frames: int) -> float:
        layer = Layer(
            operator="avg_pool2d", channels_in=64, channels_out=64, frames=frames, bins=32, kernel=2, stride=2
        )
        return modelled("rpi4", layer, "int8")

    inside, outside = pooling(400), pooling(440)  # 64 x 32 x 1.25 bytes a frame: 1 MB lies between
    assert outside / inside > 1.5 * 440 / 400


def test_the_front_end_costs_the_same_in_both_precisions() -> None:
    """It is float always."""
    front = Layer(operator="front_end", channels_in=1, channels_out=1, frames=96, bins=64, mode="stream")
    assert modelled("rpi4", front, "int8") == modelled("rpi4", front, "fp32") > 1000


def test_a_device_without_a_model_must_be_measured(run: Path) -> None:
    """The message has the command."""
    with pytest.raises(UserError, match=r"host has no device model for int8.*--target local"):
        modelled_table(load_profile("host"), "int8", "stream", Run.open(run).manifest)


def test_only_a_device_with_rows_of_its_own_has_a_band() -> None:
    """XNNPACK was published on a Raspberry Pi 4, on none of the others."""
    for device in MODELLED:
        model = load_profile(device).model
        assert model
        for precision in ("int8", "fp32"):
            band = model.band(precision)
            assert band.startswith("median ") if device == "rpi4" else band == "not validated"
