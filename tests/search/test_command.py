"""The verb as people type it: options, output, exit codes."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.costs.invented import invented_table, save_table, write_profile
from tests.search.conftest import Place
from toolkit.profile.__main__ import main as profile_verb
from toolkit.search.__main__ import main
from toolkit.specs.cost import CostTable
from toolkit.specs.layer import Mode
from toolkit.specs.pick import Pick
from toolkit.specs.run import SUBNETS, Run
from toolkit.specs.shipped import DEVICES


def run_verb(*arguments: str) -> Result:
    """Call the verb in this process."""
    return CliRunner().invoke(main, list(arguments))


def test_the_answer_in_words(place: Place) -> None:
    """The screen shows every figure, how it is known, the budget, the next larger subnet, the Pick and what to type."""
    result = run_verb("--device", "board", *place.arguments)
    assert result.exit_code == 0, result.output
    (path,) = (place.out / "picks").glob("*.json")
    pick = Pick.load(path)
    for words in (
        pick.subnet,
        *("latency", "share of one core", "memory", "file", "parameters", "MACs", "mAP"),
        *("at most 1.3 %", "modelled, not measured", "next larger", "breaks", "exhaustive"),
        "error band   not validated (of the modelled latency)",
        str(path),
        "python -m toolkit.export --device board",
    ):
        assert words in result.stdout


def test_the_answer_as_json(place: Place) -> None:
    """`--json` prints one document with the Pick as it lies on disk."""
    (document,) = json.loads(run_verb("--device", "board", "--json", *place.arguments).stdout)["answers"]
    assert document["pick"] == json.loads(Path(document["path"]).read_text())
    assert document["table"]["rows"] == ["modelled"]
    assert document["error_band"] == "not validated"
    assert {each["bound"] for each in document["next_larger"]["breaks"]} <= {"max_core_share", "max_memory_mb"}
    assert document["inside_budget"] < document["subnets"] == document["space_subnets"] == 128


def test_counts_are_read_in_millions(place: Place) -> None:
    """`0.05M`, `50k` and `50_000` mean the same bound."""
    of_board = ("--device", "board", "--json", *place.arguments)
    answers = [
        json.loads(run_verb(*of_board, "--max-params", text).stdout)["answers"] for text in ("0.05M", "50k", "50_000")
    ]
    budgets = [answer["pick"]["budget"] for (answer,) in answers]
    assert [budget["max_params"] for budget in budgets] == [50_000] * 3


def test_a_run_that_knows_a_part_of_its_space_says_so(place: Place, tmp_path: Path) -> None:
    """On screen, in JSON and where nothing fits: how many subnets were looked at, and of how many."""
    run = shutil.copytree(place.run, tmp_path / "part")
    lines = (run / SUBNETS).read_text().splitlines(keepends=True)
    (run / SUBNETS).write_text("".join(lines[:64]))
    asked = ("--device", "board", *place.arguments, "--run", str(run))
    result = run_verb(*asked)
    assert "inside the budget compared, of 64 subnets looked at (of 128)" in result.stdout
    (answer,) = json.loads(run_verb(*asked, "--json").stdout)["answers"]
    assert (answer["subnets"], answer["space_subnets"]) == (64, 128)
    refused = run_verb(*asked, "--max-size-mb", "0.001")
    assert refused.exit_code == 3
    assert "none of 64 subnets looked at (of 128) fits" in refused.stderr


def test_an_infeasible_budget_exits_3(place: Place) -> None:
    """Exit code 3 and one line that names the closest subnet, the broken bound and the option to relax."""
    result = run_verb("--device", "board", "--max-size-mb", "0.001", *place.arguments)
    assert result.exit_code == 3
    assert "closest" in result.stderr
    assert "--max-size-mb" in result.stderr
    assert result.stderr.count("\n") == 1


def test_what_an_infeasible_answer_advises_fits(place: Place) -> None:
    """The options it names, added to those typed before, give an answer; `--params` does not stand in their way."""
    typed = ("--params", "5M", "--tolerance", "0.1M", "--max-core-share", "0.0001")
    refused = run_verb("--device", "board", *place.arguments, *typed)
    assert refused.exit_code == 3
    advised = refused.stderr.partition("It fits with ")[2].split()
    assert {"--min-params", "--max-core-share"} <= set(advised)
    assert run_verb("--device", "board", *place.arguments, *typed, *advised).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-latency-ms", "nan"),
        ("--max-latency-ms", "-3"),
        ("--max-latency-ms", "0"),
        ("--max-memory-mb", "inf"),
        ("--max-params", "-1M"),
        ("--max-params", "1.8MB"),
        ("--max-params", "nan"),
        ("--max-params", "1.8"),
        ("--params", "50k", "--tolerance", "50k"),
        ("--params", "50k", "--max-params", "40k"),
        ("--tolerance", "10k"),
        ("--params", "nan", "--tolerance", "10k"),
        ("--max-params", "1", "--min-params", "2"),
        ("--max-core-share", "65"),
        ("--candidates", "0"),
        ("--candidates", "5"),
        ("--method", "exhaustive", "--seed", "0"),
        ("--devices", "nowhere"),
        ("--method", "evolution", "--seed", "-1"),
        ("--method", "evolution", "--seed", "4294967296"),
        ("--processes", "2"),
        ("--clips", "4"),
        ("--device", "board"),
        ("--paper",),
        ("--method", "genetic"),
        ("--mode", "frames"),
        ("--run", "nowhere"),
        ("--table", "nowhere.jsonl"),
        ("--device", "bord"),
    ],
)
def test_bad_options_exit_2(place: Place, arguments: tuple[str, ...]) -> None:
    """Wrong, contradictory or missing input: exit code 2, no traceback, nothing written."""
    result = run_verb("--device", "board", *place.arguments, *arguments)
    assert result.exit_code == 2, result.output
    assert "rror: " in result.stderr
    assert "Traceback" not in result.output
    assert not place.out.exists()


def test_the_papers_searches_refuse_other_bounds(place: Place) -> None:
    """What `--paper` would not look at is named, and nothing is searched."""
    result = run_verb("--paper", "--run", str(place.run), "--out", str(place.out), "--max-latency-ms", "3")
    assert result.exit_code == 2
    assert "leave out --max-latency-ms." in result.stderr
    assert not place.out.exists()


def test_a_near_miss_device_is_named(place: Place) -> None:
    """A misspelt device is answered with the one that was meant."""
    assert "Did you mean board?" in run_verb("--device", "bord", *place.arguments).stderr


def test_no_framework_is_loaded(place: Place) -> None:
    """A whole search imports neither torch nor a converter nor scipy, so that it runs on a board and in no time."""
    script = (
        "import sys; from toolkit.search.__main__ import main; main(sys.argv[1:], standalone_mode=False);"
        "print('loaded', {'torch', 'scipy', 'litert_torch', 'ai_edge_litert', 'sklearn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, "--device", "board", *place.arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("loaded set()\n")


@pytest.mark.parametrize("arguments", [("--paper",), ("--device", "rpi4")])
def test_recordings_without_a_framework_exit_2(place: Place, arguments: tuple[str, ...]) -> None:
    """Where torch is not installed `--data` is answered with one line that names what to install."""
    script = (
        "import sys; sys.modules['torch'] = None;"
        "from toolkit.search.__main__ import main; main(sys.argv[1:], standalone_mode=False)"
    )
    options = [*arguments, "--run", str(place.run), "--out", str(place.out), "--data", str(place.run)]
    command = [sys.executable, "-c", script, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: torch is not installed (--data needs ")
    assert line.endswith("pip install 'aec-toolkit[train]'")


def test_parameters_and_their_tolerance(place: Place) -> None:
    """`--params N --tolerance T` bounds from both sides, and the pick lies between."""
    result = run_verb("--device", "board", "--json", "--params", "25k", "--tolerance", "5k", *place.arguments)
    (answer,) = json.loads(result.stdout)["answers"]
    assert (answer["pick"]["budget"]["min_params"], answer["pick"]["budget"]["max_params"]) == (20_000, 30_000)
    assert 20_000 <= answer["pick"]["predicted"]["params"] <= 30_000


def test_several_devices_and_one_subnet_for_all(place: Place) -> None:
    """Each device gets its own best, and the best for all is inside every budget and no better than any of them."""
    strict = write_profile(place.devices, "small", "max_core_share = 0.009")
    assert strict.exists()
    save_table(invented_table(Run.open(place.run), device="small"), place.devices / "tables")
    devices = ("--device", "board", "--device", "small")
    answer = json.loads(run_verb(*devices, "--json", *place.arguments).stdout)
    picks = {each["pick"]["device"]: each["pick"] for each in answer["answers"]}
    assert set(picks) == {"board", "small"}
    everyone = answer["for_all"]
    assert everyone["mean_average_precision"] <= min(pick["mean_average_precision"] for pick in picks.values())
    assert everyone["predicted"]["core_share"]["value"] <= 0.009
    shown = run_verb(*devices, *place.arguments).stdout
    assert f"for all      {everyone['subnet']}" in shown
    assert f"python -m toolkit.export --subnet {everyone['subnet']} --run " in shown


def test_the_subnet_for_all_is_exported_as_it_was_searched(place: Place) -> None:
    """Its command names the precision, as those of each device do."""
    for name in ("board", "small"):
        write_profile(place.devices, name)
        save_table(invented_table(Run.open(place.run), device=name, precision="fp32"), place.devices / "tables")
    shown = run_verb("--device", "board", "--device", "small", "--precision", "fp32", *place.arguments).stdout
    commands = [
        line[line.index("python -m toolkit.export") :] for line in shown.splitlines() if "toolkit.export" in line
    ]
    assert len(commands) == 3
    assert all(" --precision fp32 --run " in command for command in commands)


def test_the_costs_of_the_subnet_for_all_are_the_first_devices(place: Place) -> None:
    """Whichever device's search scored it, as a random one may: and in JSON those on each."""
    slow = invented_table(Run.open(place.run), device="slow")
    slower = [row.model_copy(update={"latency_us": 3 * row.latency_us}) for row in slow.rows.values()]
    save_table(CostTable(slow.key, slower), place.devices / "tables")
    for name, limit in (("board", "max_latency_ms = 8"), ("slow", "max_latency_ms = 900")):
        write_profile(place.devices, name, limit)
    for seed in map(str, range(8)):
        drawn = ("--method", "random", "--candidates", "3", "--seed", seed, "--json")
        everyone = [
            json.loads(run_verb("--device", one, "--device", other, *drawn, *place.arguments).stdout)["for_all"]
            for one, other in (("board", "slow"), ("slow", "board"))
        ]
        for first, found in zip(("board", "slow"), everyone, strict=True):
            on = {device: cost["latency_ms"]["value"] for device, cost in found["predicted_on"].items()}
            assert on["slow"] == pytest.approx(3 * on["board"])
            assert found["predicted"]["latency_ms"]["value"] == on[first]


def test_a_device_that_nothing_fits_does_not_spoil_the_others(place: Place) -> None:
    """The others' Picks are written and shown; the exit code is 3 and the line names the device that went without."""
    write_profile(place.devices, "tiny", "max_core_share = 0.0001")
    save_table(invented_table(Run.open(place.run), device="tiny"), place.devices / "tables")
    result = run_verb("--device", "board", "--device", "tiny", *place.arguments)
    assert result.exit_code == 3
    assert "error: tiny: none of 128 subnets fits" in result.stderr
    assert [path.stem.split("-")[0] for path in (place.out / "picks").glob("*.json")] == ["board"]


def test_every_method_gives_a_front_and_a_pick(place: Place) -> None:
    """The pick of each method is inside the budget, and no subnet of its front beats it inside."""
    for method in ("exhaustive", "random", "evolution"):
        (answer,) = json.loads(run_verb("--device", "board", "--json", "--method", method, *place.arguments).stdout)[
            "answers"
        ]
        inside = [each["mean_average_precision"] for each in answer["front"] if each["inside_budget"]]
        assert answer["pick"]["mean_average_precision"] == max(inside)
        assert Path(answer["picture"]).exists()


@pytest.mark.parametrize(
    ("device", "runtime", "target"),
    [
        ("board", "tflite", " --target TARGET"),
        ("board", "executorch", " --target TARGET --runtime executorch"),
        ("rpi4", "executorch", " --target TARGET --runtime executorch"),
        ("host", "tflite", " --target local"),
    ],
)
def test_what_no_model_can_make_is_to_be_measured(place: Place, device: str, runtime: str, target: str) -> None:
    """A device without a model, a runtime that models do not know, any machine: with the folders as they were named."""
    result = run_verb("--device", device, "--runtime", runtime, "--precision", "fp32", *place.arguments)
    assert result.exit_code == 2
    folders = f"--run {place.run} --out {place.out} --devices {place.devices}"
    advised = f"python -m toolkit.profile --device {device}{target} --mode stream --precision fp32 {folders}"
    assert result.stderr.endswith(f": {advised}\n")


@pytest.fixture
def modelled(place: Place) -> str:
    """A device of one's own whose costs can be modelled."""
    text = (DEVICES / "rpi4.toml").read_text().replace('name = "rpi4"', 'name = "mine"')
    (place.devices / "mine.toml").write_text(text)
    return "mine"


@pytest.mark.parametrize("stands", ["nothing", "of other labels", "with holes"])
@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_the_advised_profile_mends_the_search(place: Place, modelled: str, stands: str, mode: Mode) -> None:
    """Where there is no table, one of another Run or one that lacks layers: typed as it stands, it lets all go well."""
    labels = 9 if stands == "of other labels" else None
    whole = invented_table(Run.open(place.run), mode, device=modelled, label_count=labels)
    if stands != "nothing":
        rows = list(whole.rows.values())
        save_table(CostTable(whole.key, rows[:-3] if stands == "with holes" else rows), place.out / "tables")
    asked = ("--device", modelled, "--mode", mode, *place.arguments)
    result = run_verb(*asked)
    assert result.exit_code == 2, result.output
    assert stands != "with holes" or list(whole.rows)[-1] in result.stderr
    type_advised(result)
    assert run_verb(*asked).exit_code == 0


def test_the_advised_profile_stands_in_for_a_named_table(place: Place, modelled: str) -> None:
    """Layers that `--table` lacks are named, and the command that makes a table to be found without it."""
    whole = invented_table(Run.open(place.run), device=modelled)
    path = save_table(CostTable(whole.key, list(whole.rows.values())[:-3]), place.out / "mine")
    result = run_verb("--device", modelled, "--table", str(path), *place.arguments)
    assert result.exit_code == 2
    assert list(whole.rows)[-1] in result.stderr
    assert "Leave --table out" in result.stderr
    type_advised(result)
    assert run_verb("--device", modelled, *place.arguments).exit_code == 0


def type_advised(refused: Result) -> None:
    """Type the command at the end of an error."""
    _, _, line = refused.stderr.partition("python -m toolkit.profile ")
    done = CliRunner().invoke(profile_verb, shlex.split(line))
    assert done.exit_code == 0, done.output
