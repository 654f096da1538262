"""The demo app as an agent: plans and profiles over the real adb client, timed by the app's own benchmark."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from android_demo import build_apk
from tests.android.phone import Phone
from tests.fakes import fake_run
from tests.profile.conftest import TINY
from tests.targets.conftest import until
from toolkit.native.app import AppAgent
from toolkit.profile.__main__ import main as profile_verb
from toolkit.specs.cost import CostTable
from toolkit.specs.errors import StableDeviceError
from toolkit.targets import carry_out, open_target
from toolkit.targets.base import Peak, Plan, Play, Start, Visit

MODEL = build_apk.ROOT / "target" / "fixtures" / "bundle" / "stream.int8.tflite"

pytestmark = pytest.mark.android


def test_the_app_carries_out_a_plan(android_phone: Phone) -> None:
    """Timings, environment and peak of memory come from the app, and nothing is left on the phone."""
    plan = Plan(time=("a.tflite", "a.tflite"), peak="a.tflite", warmups=2, runs=5, seconds=5.0, every_ms=20)
    lines = list(carry_out(open_target(android_phone.target), AppAgent(), plan, {"a.tflite": MODEL}))
    start, first, second, peak = lines
    assert isinstance(start, Start)
    assert start.environment.runtime == "tflite"
    assert start.environment.runtime_version.startswith("2.")
    for visit in (first, second):
        assert isinstance(visit, Visit)
        assert (visit.file, len(visit.warmups_us), len(visit.latencies_us)) == ("a.tflite", 2, 5)
    assert isinstance(peak, Peak)
    assert peak.peak_bytes >= start.base_bytes
    assert not list(android_phone.results.iterdir())
    (command,) = android_phone.started()
    assert command.startswith("start -W -S -n org.aectoolkit.demo/.BenchmarkActivity --es plan /")


def test_a_plan_that_is_cut_short_leaves_nothing(android_phone: Phone) -> None:
    """Whoever stops reading has ended the app, and nothing is left on the phone."""
    plan = Plan(time=("a.tflite",) * 2, runs=1000, seconds=60.0, every_ms=50)
    with closing(carry_out(open_target(android_phone.target), AppAgent(), plan, {"a.tflite": MODEL})) as lines:
        assert isinstance(next(lines), Start)
        assert android_phone.runs()
    assert until(lambda: not android_phone.runs())
    assert not list(android_phone.results.iterdir())


def test_each_plan_has_a_process_of_its_own(android_phone: Phone) -> None:
    """The app is started anew for each plan, so that a peak of memory is of that plan alone."""
    target = open_target(android_phone.target)
    for _ in range(2):
        list(carry_out(target, AppAgent(), Plan(peak="a.tflite"), {"a.tflite": MODEL}))
    assert [" -S " in line for line in android_phone.started()] == [True, True]


def test_what_the_app_refuses_is_said(android_phone: Phone, tmp_path: Path) -> None:
    """A file that is no model ends the plan with the app's own words."""
    (tmp_path / "noise").write_bytes(b"noise" * 100)
    plan = Plan(time=("a.tflite",))
    with pytest.raises(StableDeviceError, match=r"the demo app: .*a.tflite"):
        list(carry_out(open_target(android_phone.target), AppAgent(), plan, {"a.tflite": tmp_path / "noise"}))


def test_a_phone_without_the_app_is_told_apart(android_phone: Phone) -> None:
    """Where the app is not installed the message says to install it."""
    android_phone.uninstall()
    with pytest.raises(StableDeviceError, match=r"install it .*does not exist"):
        list(carry_out(open_target(android_phone.target), AppAgent(), Plan(time=("a.tflite",)), {"a.tflite": MODEL}))


def test_it_plays_nothing(android_phone: Phone) -> None:
    """Recorded samples are for the app's own file source, which the message names."""
    plan = Plan(play=(Play(file="a.tflite", samples="b.f32", hop_samples=5),))
    with pytest.raises(StableDeviceError, match="plays no samples"):
        list(carry_out(open_target(android_phone.target), AppAgent(), plan, {"a.tflite": MODEL, "b.f32": MODEL}))


def test_a_device_that_is_no_android_is_told_apart() -> None:
    """On this machine there is no `am`, and the message says what that means."""
    with pytest.raises(StableDeviceError, match="there is no am here"):
        list(carry_out(open_target("local"), AppAgent(), Plan(time=("a.tflite",)), {"a.tflite": MODEL}))


def test_profile_measures_through_the_app(android_phone: Phone, tmp_path: Path) -> None:
    """`profile --target adb://... --agent app` writes a measured table of the runtime that the app ships."""
    run = fake_run(tmp_path / "run", space=TINY)
    options = ["--mode", "stream", "--precision", "int8", "--quick", "--device", "host", "--run", str(run)]
    options += ["--out", str(tmp_path / "out"), "--agent", "app", "--target", android_phone.target]
    done = CliRunner().invoke(profile_verb, options)
    assert done.exit_code == 0, done.output
    (path,) = (tmp_path / "out" / "tables").glob("*.jsonl")
    table = CostTable.load(path)
    assert table.kinds == ("measured",)
    assert table.key.runtime_version.startswith("2.")
