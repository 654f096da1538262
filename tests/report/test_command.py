"""The report verb as people type it: what it writes and says, what it refuses, and what it does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.costs.invented import invented_table, save_table, write_profile
from tests.report.conftest import MEASURED, MODELLED, TIGHT
from tests.report.reading import Page
from tests.search.conftest import Place
from toolkit.report.__main__ import main
from toolkit.specs.cost import CostTable
from toolkit.specs.run import Run
from toolkit.specs.shipped import DEVICES


def run_verb(*arguments: str) -> Result:
    """Call the verb in this process."""
    return CliRunner().invoke(main, list(arguments))


def test_a_table_with_holes_is_left_out(place: Place) -> None:
    """The other devices are shown, and the missing layers named; a device that was asked for is an error."""
    table = invented_table(Run.open(place.run), device=MODELLED)
    rows = list(table.rows.values())
    save_table(CostTable(table.key, rows[1:]), place.devices / "tables")
    result = run_verb(*place.arguments)
    assert result.exit_code == 0, result.output
    assert f"left out {MODELLED}: " in result.stderr
    assert rows[0].layer.name in result.stderr
    assert run_verb(*place.arguments, "--device", MODELLED).exit_code == 2


def test_the_default_run_on_all_shipped_devices(tmp_path: Path) -> None:
    """All boards that have a table in one page below 8 MB; the others are named with the command that measures them."""
    result = run_verb("--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    boards = {path.name.split("-tflite")[0] for path in (DEVICES / "tables").glob("*-tflite-int8-stream-*.jsonl")}
    assert set(document["devices"]) == boards
    assert len(boards) >= 6
    advised = "profile --device host --target local --mode stream --precision int8 --out"
    assert advised in document["left_out"]["host"]
    path = Path(document["page"])
    assert path == tmp_path / "out" / "report.html"
    assert path.stat().st_size == document["size_bytes"] < 8_000_000
    assert list(path.parent.iterdir()) == [path], "nothing else is written"


def test_the_verb_in_words(full_place: Place, tmp_path: Path) -> None:
    """`--to` names the page; devices without a table are told on stderr."""
    write_profile(full_place.devices, "bare")
    result = run_verb(*full_place.arguments, "--to", str(tmp_path / "my page.html"))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'my page.html'}: 3 devices, 1 measurement, 2 certificates\n"
    assert "left out bare: no tflite int8 stream table of bare" in result.stderr
    text = Page((tmp_path / "my page.html").read_text()).text
    command = f"python -m toolkit.report --run {full_place.run} --out {full_place.out} --devices {full_place.devices}"
    assert f"{command} --to '{tmp_path / 'my page.html'}'" in text


def test_devices_are_shown_as_asked(full_place: Place) -> None:
    """Only those that are named, in that order."""
    result = run_verb(*full_place.arguments, "--device", TIGHT, "--device", MEASURED, "--json")
    assert list(json.loads(result.stdout)["devices"]) == [TIGHT, MEASURED]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device", "boart"), "Did you mean board?"),
        (("--device", "host"), "python -m toolkit.profile --device host"),
        (("--device", "board", "--device", "board"), "named twice"),
        (("--precision", "fp32"), "no device has a table"),
        (("--mode", "frames"), "not one of"),
        (("--run", "nowhere"), "holds no Run"),
    ],
)
def test_bad_input_exits_2(arguments: tuple[str, ...], words: str, full_place: Place) -> None:
    """One message that says what to do, no page and no traceback."""
    result = run_verb(*full_place.arguments, *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not (full_place.out / "report.html").exists()


@pytest.mark.parametrize("name", ["measured/broken.json", "bundles/lab-8/certificate.json"])
def test_a_broken_file_is_named(name: str, full_place: Place) -> None:
    """A record that cannot be read is an error with its path, and an older page stays as it was."""
    old = full_place.out / "report.html"
    old.write_text("old")
    (full_place.out / name).write_text('{"schema_version": 99}')
    result = run_verb(*full_place.arguments)
    assert result.exit_code == 2
    assert str(full_place.out / name) in result.stderr
    assert old.read_text() == "old"


def test_a_place_that_cannot_be_written(full_place: Place) -> None:
    """A page below a file is refused."""
    result = run_verb(*full_place.arguments, "--to", str(full_place.run / "run.json" / "page.html"))
    assert result.exit_code == 2
    assert "run.json" in result.stderr


def test_no_framework_is_loaded(full_place: Place) -> None:
    """A report takes neither torch nor a converter."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'safetensors', 'scipy', 'sklearn'])); "
        "from toolkit.report.__main__ import main; main()"
    )
    command = [sys.executable, "-c", program, *full_place.arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
