"""Device profiles: those that are shipped, those that people write, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.specs.device import error_band, load_profile
from toolkit.specs.errors import UserError
from toolkit.specs.shipped import DEVICES

BOARD = """
schema_version = 1
name = "board"
title = "a board"
soc = "chip"

[[clusters]]
core = "Cortex-A53"
count = 4
clock_ghz = 1.2
mask = "0xf"

[[clusters]]
core = "Cortex-A73"
count = 2
clock_ghz = 2.0
mask = "0x30"

[budget]
max_core_share = 0.1

[sources]
soc = "its data sheet"
clusters = "its data sheet"
budget = "chosen"
"""


@pytest.mark.parametrize("name", sorted(path.stem for path in DEVICES.glob("*.toml")))
def test_shipped_profiles_are_whole(name: str) -> None:
    """Each is read, has a title and a budget in always-on terms, and every source is more than a word."""
    profile = load_profile(name)
    assert profile.title
    assert profile.budget.max_core_share
    assert profile.budget.max_memory_mb
    assert profile.budget.max_size_mb
    assert all(len(source) > 15 for source in profile.sources.values())


def test_own_profiles_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    """A folder of one's own adds devices and may replace one."""
    (tmp_path / "board.toml").write_text(BOARD)
    (tmp_path / "rpi4.toml").write_text(BOARD.replace('"board"', '"rpi4"').replace("a board", "mine"))
    assert load_profile("board", tmp_path).cluster.core == "Cortex-A53"
    assert load_profile("rpi4", tmp_path).title == "mine"
    assert load_profile("pixel7", tmp_path).title == "Google Pixel 7"


def test_the_listening_cluster_is_chosen_by_its_index(tmp_path: Path) -> None:
    """`listening_cluster` names the cores that always-on work runs on."""
    (tmp_path / "board.toml").write_text(BOARD.replace("title =", "listening_cluster = 1\ntitle ="))
    assert load_profile("board", tmp_path).cluster.core == "Cortex-A73"


def test_an_unknown_device_lists_the_known_ones_and_the_nearest() -> None:
    """A typing error is answered with what was probably meant."""
    with pytest.raises(UserError, match=r"unknown device 'pixel8'.*pixel7, rpi-zero2w, rpi4.*Did you mean pixel[67]\?"):
        load_profile("pixel8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title =", "titel =", "titel: unknown field; did you mean title"),
        ("count = 4", "count = 0", "clusters.0.count: .*found 0"),
        ('mask = "0xf"', 'mask = "f"', "clusters.0.mask"),
        ('soc = "its data sheet"', "", "sources are missing for soc"),
        ('budget = "chosen"', 'budget = "chosen"\nprice = "shop"', "sources name unknown fields: price"),
        ("soc =", "listening_cluster = 2\nsoc =", "listening_cluster 2, but there are 2 clusters"),
        ('name = "board"', 'name = "bord"', "says name = 'bord'"),
        ("[budget]", "[budget", "is not TOML"),
    ],
)
def test_a_wrong_profile_is_refused_with_the_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    """What is wrong is named, with the field that was probably meant."""
    assert old in BOARD
    head, _, tail = BOARD.rpartition(old) if "data sheet" in old else BOARD.partition(old)
    (tmp_path / "board.toml").write_text(head + new + tail)
    with pytest.raises(UserError, match=message):
        load_profile("board", tmp_path)


def test_all_faults_of_a_profile_come_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one message at a time."""
    broken = BOARD.replace("title =", "titel =").replace("count = 2", 'count = "two"')
    (tmp_path / "board.toml").write_text(broken)
    with pytest.raises(UserError, match="3 faults") as error:
        load_profile("board", tmp_path)
    assert all(word in str(error.value) for word in ("title: missing", "titel", "clusters.1.count"))


def test_a_model_needs_something_to_be_a_model_of(tmp_path: Path) -> None:
    """A profile with a model but no runtime would have no key for its tables."""
    (tmp_path / "board.toml").write_text(with_model(BOARD))
    with pytest.raises(UserError, match="a model needs clusters and runtimes"):
        load_profile("board", tmp_path)


def test_a_model_without_a_band_is_not_validated(tmp_path: Path) -> None:
    """A band is a device's own or none."""
    (tmp_path / "board.toml").write_text(with_model(WITH_RUNTIME))
    model = load_profile("board", tmp_path).model
    assert model
    assert model.band("int8") == "not validated"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dense = 2.0", "dense = 9.0", "not above the peak of 8.0"),
        ("dense = 2.0, ", "", "no rate for dense"),
        ("cache_mb_s = 2000.0", "cache_mb_s = 900.0", "cache_mb_s 900.0 is below memory_mb_s 1000.0"),
        ("channel_tile = 8", "channel_tile = 0", "channel_tile"),
        ("computing_by_threads = 0.8", "computing_by_threads = 1.8", "computing_by_threads"),
    ],
)
def test_an_impossible_model_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """Nothing computes faster than its peak, and more threads than one do not do more than their number."""
    text = with_model(WITH_RUNTIME)
    assert old in text
    (tmp_path / "board.toml").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        load_profile("board", tmp_path)


def test_the_band_of_rows_is_read_from_their_notes() -> None:
    """What two tables say stands once each; notes of another kind say nothing."""
    assert error_band(["device model, median 7 %", "device model, median 7 %", "quick"]) == "median 7 %"
    assert error_band(["device model, b", "device model, a"]) == "a; b"
    assert error_band([""]) == "not validated"


MODEL = """
[model]
kernels = "xnnpack"
cache_kb = 512
computing_by_threads = 0.8
moving_by_threads = 0.3

[model.precisions.int8]
macs_per_cycle = { dense = 2.0, pointwise = 3.0, depthwise = 1.0 }
peak_macs_per_cycle = 8.0
channel_tile = 8
memory_mb_s = 1000.0
cache_mb_s = 2000.0
operator_us = 10.0

[sources]
model = "a paper"
"""
WITH_RUNTIME = BOARD.replace("[budget]", '[[runtimes]]\nruntime = "tflite"\nversion = "2.3.0"\n\n[budget]').replace(
    "[sources]", '[sources]\nruntimes = "its data sheet"'
)


def with_model(text: str) -> str:
    """A profile with a device model."""
    return text.replace("[sources]", MODEL.strip())
