"""The verb: what people type, what they read, and what wrong input is answered with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.fakes import fake_run
from tests.profile.boards import Board, start, visit
from toolkit.profile.__main__ import main
from toolkit.profile.measure import QUICK
from toolkit.specs.cost import CostTable
from toolkit.specs.device import load_profile
from toolkit.specs.errors import TransientDeviceError
from toolkit.specs.pack import open_pack
from toolkit.specs.run import Run
from toolkit.targets import Start, Visit


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Run to profile."""
    return fake_run(tmp_path_factory.mktemp("run"))


def call(*arguments: str | Path) -> Result:
    """The verb's exit code and output."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_without_a_target_the_tables_are_modelled_and_say_so(run: Path, tmp_path: Path) -> None:
    """Four tables, every row modelled; on screen too, with the error band of this board's own published rows."""
    result = call("--device", "rpi4", "--run", run, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "MODELLED from published figures, nothing was measured. Error band: median " in result.stdout
    model = load_profile("rpi4").model
    assert model
    assert all(f"{model.band(precision)} ({precision})" in result.stdout for precision in ("int8", "fp32"))
    tables = [CostTable.load(path) for path in (tmp_path / "tables").glob("*.jsonl")]
    expected = {(mode, precision) for mode in ("stream", "clip") for precision in ("int8", "fp32")}
    assert {(table.key.mode, table.key.precision) for table in tables} == expected
    assert {table.kinds for table in tables} == {("modelled",)}


def test_json_is_one_document_with_every_table(run: Path, tmp_path: Path) -> None:
    """Its figures are the sums over the table's rows."""
    options = ("--mode", "stream", "--precision", "int8", "--json")
    result = call("--device", "pixel7", "--run", run, "--out", tmp_path, *options)
    (answer,) = json.loads(result.stdout)["tables"]
    table = CostTable.load(Path(answer["path"]))
    assert answer["rows"] == {"modelled": len(table.rows)}
    assert answer["error_band"] == "not validated"
    space = table.key.space
    layers = space.layers(space.largest, Run.open(run).manifest.front_end, table.key.label_count, "stream")
    latency_ms = sum(table.row(layer).latency_us for layer in layers) / 1e3
    assert answer["sums"]["largest"]["latency_ms"] == pytest.approx(latency_ms)
    assert answer["sums"]["largest"]["core_share"] == pytest.approx(latency_ms / 960)
    assert answer["sums"]["smallest"]["latency_ms"] < latency_ms


def test_measures_this_machine(tiny_run: Path, packs: Path, tmp_path: Path) -> None:
    """With the local target every layer of the space is measured in LiteRT, int8 and fp32; a quick pass says so."""
    shutil.copytree(packs, tmp_path / "packs")
    options = ("--mode", "stream", "--quick", "--run", tiny_run, "--out", tmp_path)
    result = call("--target", "local", *options)
    assert result.exit_code == 0, result.output
    assert "quick: 2 rounds of at most 5 timings, memory counted from shapes" in result.stdout
    tables = {table.key.precision: table for table in map(CostTable.load, (tmp_path / "tables").glob("*.jsonl"))}
    assert set(tables) == {"int8", "fp32"}
    for table in tables.values():
        assert table.kinds == ("measured",)
        assert table.key.device == "host"
        layers = table.key.space.all_layers(Run.open(tiny_run).manifest.front_end, table.key.label_count, "stream")
        assert [row.layer for row in table.rows.values()] == list(layers)


def test_an_interrupted_profile_is_resumed(
    tiny_run: Path, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that goes away leaves no table, exit code 4 and a journal; --resume measures what is missing, once."""
    shutil.copytree(packs, tmp_path / "packs")
    monkeypatch.setattr("toolkit.profile.measure.BACK_OFF_SECONDS", ())

    def answer(_: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        yield start(threads=1)
        for number, file in enumerate(files):
            if number == 3 and not healed:
                raise TransientDeviceError("the cable was pulled.")
            yield visit(file, 5000.0 if file.startswith("whole") else 1000.0)

    board, healed = Board(answer), False
    monkeypatch.setattr("toolkit.profile.profile.open_target", lambda *_: board)
    options = ("--mode", "stream", "--precision", "int8", "--run", tiny_run, "--out", tmp_path, "--quick")
    result = call("--device", "rpi4", "--target", "ssh://pi@garden", *options)
    assert result.exit_code == 4
    assert re.fullmatch(r"error: the cable was pulled\. .*--resume\.", result.stderr.strip())
    assert not (tmp_path / "tables").exists()
    assert board.settings[0]["cores"] == "3"
    healed, board.visits = True, []
    result = call("--device", "rpi4", "--target", "ssh://pi@garden", *options, "--resume")
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "tables").glob("*.jsonl")
    table = CostTable.load(path)
    assert table.kinds == ("measured",)
    (pack,) = (tmp_path / "packs").glob("tflite-int8-*")
    assert sum(map(len, board.visits)) == 2 * len(open_pack(pack).files) - 3
    assert path.with_suffix(".png").is_file()
    assert path.with_suffix(".svg").is_file()


def test_kill_9_costs_the_measurement_under_way(tiny_run: Path, packs: Path, tmp_path: Path) -> None:
    """Killed again and again at any moment, a profile that is resumed gets done; no visit is lost or taken twice."""
    shutil.copytree(packs, tmp_path / "packs")
    options = ("--mode", "stream", "--precision", "int8", "--run", str(tiny_run), "--out", str(tmp_path), "--quick")
    command = [sys.executable, "-m", "toolkit.profile", "--target", "local", *options, "--resume"]
    path = tmp_path / "journals" / "host-tflite-int8-stream.jsonl"
    before = ""
    for wanted in (2, 9, 17):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and (not path.exists() or path.read_text().count('"visit"') < wanted):
                time.sleep(0.001)
            process.kill()
        whole_lines = path.read_text().rpartition("\n")[0]
        assert whole_lines.startswith(before)
        before = whole_lines
    assert before.count('"visit"') >= 17
    done = call("--target", "local", *options, "--resume")
    assert done.exit_code == 0, done.output
    (table,) = map(CostTable.load, (tmp_path / "tables").glob("*.jsonl"))
    found = {f"{row.layer.name}.tflite": row.measurement for row in table.rows.values() if row.measurement}
    assert {len(measurement.warmups_us) for measurement in found.values()} == {2}
    for visit_before in map(json.loads, before.splitlines()):
        if visit_before.get("file") in found:
            assert set(visit_before["latencies_us"]) <= set(found[visit_before["file"]].latencies_us)


class Restless(Board):
    """A board that takes `left` visits of `latency_us`, then goes away; it comes back if it `heals`."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.left, self.latency_us, self.heals = 1_000_000, 1000.0, False

    def _answer(self, settings: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        yield start(threads=int(settings["threads"]))
        for file in files:
            if not self.left:
                self.left = 1_000_000 if self.heals else 0
                raise TransientDeviceError("the cable was pulled.")
            self.left -= 1
            yield visit(file, self.latency_us * (5 if file.startswith("whole") else 1))


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> Restless:
    """It is what every target names; nobody waits for it to come back."""
    board = Restless()
    monkeypatch.setattr("toolkit.profile.profile.open_target", lambda *_: board)
    monkeypatch.setattr("toolkit.profile.measure.BACK_OFF_SECONDS", ())
    return board


@pytest.mark.parametrize("option", [(), ("--sustained", "0.5")])
def test_a_connection_lost_after_the_rounds_is_tried_again_too(
    tiny_run: Path,
    packs: Path,
    tmp_path: Path,
    restless: Restless,
    monkeypatch: pytest.MonkeyPatch,
    option: tuple[str, ...],
) -> None:
    """Both the duty cycle and a sustained run; where it stays away, the error says that --resume goes on."""
    shutil.copytree(packs, tmp_path / "packs")
    monkeypatch.setattr("toolkit.profile.profile.FULL", QUICK._replace(note=""))
    where = ("--run", str(tiny_run), "--out", str(tmp_path), *option)
    options = ("--target", "local", "--device", "rpi4", "--mode", "stream", "--precision", "int8", *where)
    (pack,) = packs.glob("tflite-int8-*")
    restless.left = 2 * len(open_pack(pack).files) + (7 if option else 1)
    gone = call(*options)
    assert gone.exit_code == 4
    assert re.search(r"cable was pulled\. \d+ measurements are kept: .*--resume\.", gone.stderr)
    monkeypatch.setattr("toolkit.profile.measure.BACK_OFF_SECONDS", (0.0,))
    restless.left, restless.heals = 7 if option else 1, True
    done = call(*options, "--resume")
    assert done.exit_code == 0, done.output
    assert restless.left > 1000, "the cable was pulled, and it came back"


def test_a_quick_profile_spares_a_full_one(
    tiny_run: Path, packs: Path, tmp_path: Path, restless: Restless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before anything is measured, and the table stays; a quick one is replaced, and other threads are free."""
    shutil.copytree(packs, tmp_path / "packs")
    where = ("--mode", "stream", "--precision", "int8", "--run", str(tiny_run), "--out", str(tmp_path))
    options = ("--target", "local", "--device", "rpi4", *where)
    assert call(*options, "--quick").exit_code == 0
    monkeypatch.setattr("toolkit.profile.profile.FULL", QUICK._replace(note=""))
    assert call(*options).exit_code == 0
    (path,) = (tmp_path / "tables").glob("*.jsonl")
    before, restless.settings = path.read_bytes(), []
    refused = call(*options, "--quick")
    assert refused.exit_code == 2
    assert f"{path} holds a full profile: leave --quick out, or name another --out." in refused.stderr
    assert path.read_bytes() == before
    assert not restless.settings
    assert call(*options, "--quick", "--threads", "2").exit_code == 0


def latencies_us(out: Path) -> dict[str, set[float]]:
    """The raw timings in each table, by precision."""
    tables = [CostTable.load(path) for path in (out / "tables").glob("*.jsonl")]
    return {
        table.key.precision: {
            each for row in table.rows.values() if row.measurement for each in row.measurement.latencies_us
        }
        for table in tables
    }


@pytest.mark.parametrize("finished", [True, False])
def test_last_weeks_timings_are_not_taken_for_todays(
    tiny_run: Path, packs: Path, tmp_path: Path, restless: Restless, *, finished: bool
) -> None:
    """A profile of some tables was finished or not; one of today that was interrupted and resumed is today's alone."""
    shutil.copytree(packs, tmp_path / "packs")
    options = ("--target", "local", "--device", "rpi4", "--mode", "stream", "--run", tiny_run, "--out", tmp_path)
    restless.left = 1_000_000 if finished else 60
    assert call(*options, "--quick").exit_code == (0 if finished else 4)
    restless.latency_us, restless.left = 2000.0, 3
    assert call(*options, "--quick").exit_code == 4
    restless.left = 1_000_000
    done = call(*options, "--quick", "--resume")
    assert done.exit_code == 0, done.output
    assert latencies_us(tmp_path) == {"int8": {2000.0}, "fp32": {2000.0}}


def test_what_is_done_is_not_gone_on_with(tiny_run: Path, packs: Path, tmp_path: Path, restless: Restless) -> None:
    """--resume after a profile that was finished measures anew."""
    shutil.copytree(packs, tmp_path / "packs")
    options = ("--target", "local", "--device", "rpi4", "--mode", "stream", "--run", tiny_run, "--out", tmp_path)
    assert call(*options, "--quick").exit_code == 0
    restless.latency_us = 2000.0
    assert call(*options, "--quick", "--resume").exit_code == 0
    assert latencies_us(tmp_path) == {"int8": {2000.0}, "fp32": {2000.0}}


def test_a_pack_is_made_here_and_measured_there(tiny_run: Path, packs: Path, tmp_path: Path) -> None:
    """--make-pack gives a folder that --pack measures without the Run, in a process that imports no torch."""
    shutil.copytree(packs, tmp_path / "packs")
    options = ("--mode", "stream", "--precision", "int8", "--run", tiny_run, "--out", tmp_path)
    made = json.loads(call("--make-pack", *options, "--json").stdout)["packs"]
    assert len(made) == 1
    script = (
        "import sys; from toolkit.profile.__main__ import main; "
        "main([*sys.argv[1:]], standalone_mode=False); assert not {'torch', 'litert_torch'} & set(sys.modules)"
    )
    arguments = ("--target", "local", "--pack", made[0], "--quick", "--out", str(tmp_path / "board"), "--json")
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (answer,) = json.loads(done.stdout)["tables"]
    assert answer["rows"].keys() == {"measured"}
    assert (answer["device"], answer["precision"], answer["mode"]) == ("host", "int8", "stream")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "which device"),
        (("--device", "rpii4"), "Did you mean rpi4?"),
        (("--device", "host"), "must be measured"),
        (("--device", "rpi4", "--runtime", "executorch"), "knows tflite alone, found --runtime executorch. Measure it"),
        (("--device", "rpi4", "--runtime", "all"), "knows tflite alone, found --runtime all"),
        (("--target", "ssh://pi@kitchen"), "which device is ssh://pi@kitchen? Name its profile: --device rpi4"),
        (("--target", "adb://"), "which device is adb://?"),
        (("--device", "rpi4", "--quick", "--threads", "2"), "--quick, --threads: for measuring alone. Say where with"),
        (("--device", "rpi4", "--cores", "0"), "--cores: for measuring alone"),
        (("--device", "rpi4", "--sustained", "1", "--resume"), "--resume, --sustained: for measuring alone"),
        (("--device", "rpi4", "--agent", "native", "--python", "x"), "--agent, --python: for measuring alone"),
        (("--device", "rpi4", "--benchmark-model", "x"), "--benchmark-model: for measuring alone"),
        (("--device", "rpi4", "--pack", "nowhere"), "--pack: for measuring alone"),
        (("--make-pack", "--device", "rpi4", "--quick"), "leave out --device, --quick."),
        (
            ("--target", "local", "--pack", "nowhere", "--mode", "clip"),
            "settled when it was made: leave out --mode, --run",
        ),
        (("--target", "local", "--pack", "nowhere"), "holds no layer pack"),
        (("--target", "local", "--runtime", "executorch", "--agent", "python"), "--agent native"),
        (("--target", "moon"), "known: local"),
        (("--target", "local", "--cores", "a,b"), "expected numbers of cores"),
        (("--device", "rpi4", "--run", "nowhere"), "holds no Run"),
        (("--device", "rpi4", "--devices", "wrong"), "did you mean title"),
        (("--device", "rpi4", "--devices", "nowhere"), "nowhere is no folder"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    arguments: tuple[str, ...], message: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, and nobody sees a traceback."""
    is_of_a_pack = "--pack" in arguments and "--mode" not in arguments
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "rpi4.toml").write_text('name = "rpi4"\ntitel = "a board"\n')
    before = set(tmp_path.rglob("*"))
    result = call(*(arguments if "--run" in arguments or is_of_a_pack else (*arguments, "--run", str(run))))
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert set(tmp_path.rglob("*")) == before


def test_an_arm_device_is_not_measured_on_something_else(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that says rpi4 was not made on a PC."""
    board = Board(lambda *_: iter([]), machine="x86_64")
    monkeypatch.setattr("toolkit.profile.profile.open_target", lambda *_: board)
    result = call("--device", "rpi4", "--target", "local", "--run", run, "--out", tmp_path)
    assert result.exit_code == 2
    assert "rpi4 has Cortex-A72 cores, the target is x86_64" in result.stderr
    assert "--device host" in result.stderr
