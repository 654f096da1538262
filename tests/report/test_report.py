"""What is on the page, as its source says it: contents, escaping, no requests."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from typing import Any

import pytest

from tests.costs.invented import invented_row, invented_table, save_table, write_profile
from tests.report.conftest import HOSTILE, MEASURED, MODELLED, TIGHT
from tests.report.reading import Page
from tests.search.conftest import Place
from toolkit.report.chart import MARKERS, chart_json
from toolkit.report.findings import Asked, Findings, look_around
from toolkit.report.page import layers, render
from toolkit.search.search import Question, look
from toolkit.specs.cost import CostTable
from toolkit.specs.run import Run


def asked_for(place: Place) -> Asked:
    """All devices of a place."""
    return Asked(run=place.run, devices=place.devices, out=place.out)


@pytest.fixture(scope="module")
def findings(shown_place: Place) -> Findings:
    """What the full place holds."""
    return look_around(asked_for(shown_place))


@pytest.fixture(scope="module")
def page(findings: Findings) -> Page:
    """The page of the full place."""
    return Page(render(findings))


def test_the_picks_are_those_of_search(findings: Findings, page: Page, shown_place: Place) -> None:
    """Subnet, mAP and latency of each device stand in one row, with how the latency is known; no Pick is written."""
    names = (MEASURED, MODELLED)
    answers = look(Question(names, run=shown_place.run, devices=shown_place.devices, out=shown_place.out)).each
    for answer, kind in zip(answers, ("measured", "modelled"), strict=True):
        pick = answer.pick
        row = page.row(pick.device, pick.subnet)
        assert row[2] == f"{pick.mean_average_precision:.3f}"
        assert row[3] == f"{pick.predicted.latency_ms.value:.4g} ms"
        assert row[-1] == kind
    assert "at most 1.3 %" in page.row(MODELLED)[4]
    assert [device.name for device in findings.devices] == sorted([MEASURED, MODELLED, TIGHT])
    assert not (shown_place.out / "picks").exists()


def test_a_device_that_nothing_fits_is_shown_with_the_reason(page: Page) -> None:
    """It names the closest subnet and the bound to relax, and its front is there all the same, outside."""
    row = page.row(TIGHT)
    assert "closest" in row[1]
    assert "--max-memory-mb" in row[1]
    shown = [trace for trace in traces(page, device=TIGHT) if trace["x"]]
    assert {trace["meta"]["part"] for trace in shown} == {"others", "line", "front"}
    assert not any(trace["meta"]["inside"] for trace in shown)


def traces(page: Page, **wanted: object) -> list[dict[str, Any]]:
    """Traces of the chart's data, as the page's script reads it, whose meta has these values."""
    every: list[dict[str, Any]] = json.loads(page.scripts[0])["data"]
    return [trace for trace in every if wanted.items() <= trace["meta"].items()]


def test_every_subnet_is_drawn_once_and_says_all(page: Page, findings: Findings) -> None:
    """A point for each subnet, on the front or off it; a hover names subnet, figures, how they are known, standing."""
    for device in findings.devices:
        own_traces = traces(page, device=device.name)
        texts = [text for trace in own_traces if trace["meta"]["part"] in {"others", "front"} for text in trace["text"]]
        assert len(texts) == len(device.scored) == 128
        for each in device.scored:
            (own,) = [text for text in texts if re.search(rf"subnet {re.escape(each.subnet.id)}(,|<)", text)]
            for words in ("mAP", "latency", "share of one core", "memory", "file", "parameters"):
                assert words in own
            assert f"({each.cost.latency_ms.kind})" in own
            assert ("inside the budget" in own) == each.is_inside
            assert ("outside: " in own) != each.is_inside


def test_markers_tell_measured_from_modelled(page: Page) -> None:
    """Filled where measured, open where modelled; the pick is a star."""
    for trace in traces(page):
        if "marker" in trace:
            shape = "star" if trace["meta"]["part"] == "pick" else "circle"
            is_measured = trace["meta"]["device"] == MEASURED
            assert set(trace["marker"]["symbol"]) <= {shape + ("" if is_measured else "-open")}


def test_a_table_of_both_kinds_is_drawn_as_both(place: Place) -> None:
    """Where the device model stands in for some layers, each subnet has the marker of its own figure, and words."""
    run = Run.open(place.run)
    table = invented_table(run, kind="measured", device=MEASURED)
    wide = [name for name in table.rows if name.startswith("conv2d-k3-") and "x6-" in name]
    mixed = [invented_row(row.layer) if name in wide else row for name, row in table.rows.items()]
    save_table(CostTable(table.key, mixed), place.devices / "tables")
    findings = look_around(replace(asked_for(place), device_names=(MEASURED,)))
    expected = {kind: sum(each.cost.latency_ms.kind == kind for each in findings.devices[0].scored) for kind in MARKERS}
    assert 0 < expected["measured"] < 128
    page = Page(render(findings))
    points = [trace for part in ("others", "front") for trace in traces(page, part=part)]
    symbols = [symbol for trace in points for symbol in trace["marker"]["symbol"]]
    assert {kind: symbols.count(MARKERS[kind]) for kind in MARKERS} == expected
    assert f"{MEASURED} (measured and modelled)" in page.text
    assert len([row for row in page.rows if row[:2] == ["latency", "all"]]) == 2


def test_the_front_is_a_staircase_of_the_best(page: Page) -> None:
    """Each step of a front's line is slower and better than the one before."""
    lines = traces(page, part="line")
    assert any(len(line["x"]) > 3 for line in lines)
    for line in lines:
        for axis in (line["x"], line["y"]):
            assert axis == sorted(set(axis))


def test_the_budget_is_a_line_where_it_stands(page: Page, findings: Findings) -> None:
    """At the latency whose share of a core is the bound."""
    (board,) = [device for device in findings.devices if device.name == MODELLED]
    (line,) = traces(page, part="budget", device=MODELLED)
    cost = board.scored[0].cost
    assert cost.core_share
    assert line["x"][0] * cost.core_share.value / cost.latency_ms.value == pytest.approx(0.013)


def test_each_layer_of_each_table_has_a_row(page: Page, findings: Findings) -> None:
    """With its kind, latency and bytes."""
    rows = [[" ".join(cell.split()) for cell in row] for row in page.rows]
    for device in findings.devices:
        for row in device.table.rows.values():
            start = [row.layer.name, row.kind, f"{row.latency_us:,.1f}"]
            assert [f"{row.file_bytes:,}", f"{row.activation_bytes:,}"] in [
                each[4:6] for each in rows if each[:3] == start
            ]


def test_a_note_that_rows_share_is_told_once(findings: Findings) -> None:
    """Under a name that the rows give; a note of one row alone stands there itself."""
    table = next(device.table for device in findings.devices if device.name == MODELLED)
    assert layers(table).legend == {"note 1": HOSTILE}
    assert {note for _, note in layers(table).rows} == {"note 1"}


def test_predicted_and_measured_stand_side_by_side(page: Page, findings: Findings) -> None:
    """With the error, the verdict and where it was; memory that was not compared says why; doubts are listed."""
    (record,) = findings.measured.values()
    row = page.row(MEASURED, record.pick.subnet, "latency")
    assert row[3:8] == [
        f"{record.latency_ms.predicted:.2f} ms",
        "measured",
        f"{record.latency_ms.measured:.2f} ms",
        "+25.0 %",
        "MISSED",
    ]
    assert "ssh://pi@kitchen with NativeAgent, 2 timings, 2026-01-02 03:04 UTC; this Run" in row[8]
    assert "this agent does not tell its memory" in page.row(MEASURED, record.pick.subnet, "memory")[3]
    assert "conv2d-k3-8x8-9x9: measured, 40.0 % of the predicted latency, timings scatter by 7.0 %" in page.text


def test_a_verdict_on_another_table_says_so(full_place: Place) -> None:
    """A table made anew leaves an older verdict in its row, told as such; it validates no figure of the new table."""
    run = Run.open(full_place.run)
    slower = [
        row.model_copy(update={"latency_us": 2 * row.latency_us})
        for row in invented_table(run, kind="measured", device=MEASURED).rows.values()
    ]
    save_table(CostTable(invented_table(run, device=MEASURED).key, slower), full_place.devices / "tables")
    findings = look_around(asked_for(full_place))
    (record,) = findings.measured.values()
    page = Page(render(findings))
    assert page.row(MEASURED, record.pick.subnet, "latency")[8].endswith("a table that is not on this page")
    known = {tuple(row[:2]): row[2:] for row in page.rows if len(row) == 4}
    assert known["latency", MEASURED][1] == "no pick was measured whole yet"


def test_certificates_say_passed_missed_or_not_run(page: Page) -> None:
    """File by file with what ran it, errors and mAP; a certificate of another Run says so."""
    good, bad, apple = page.row("good.tflite"), page.row("bad.tflite"), page.row("apple.mlpackage")
    assert good[1:8] == ["passed", "LiteRT 1.2.3", "1.50", "0.0125", "0.0010", "0.812", "0.750"]
    assert bad[1].startswith("MISSED")
    assert bad[1].endswith("error 0.9 > 0.05")
    assert apple[1] == "not run: needs macOS"
    assert "Run ffffffffffffffff, not this one" in page.text


def test_it_says_how_each_figure_is_known(page: Page) -> None:
    """Modelled and measured devices apart, with error bands."""
    known = {tuple(row[:2]): row[2:] for row in page.rows if len(row) == 4}
    assert known["latency", MEASURED][0].startswith("measured")
    assert known["latency", MEASURED][1] == "see predicted and measured"
    assert known["memory", "all"][0].endswith("without the runtime's own")
    assert known["latency", f"{MODELLED}, {TIGHT}"] == [
        "modelled, not measured: sum of the layers, of which the device model gave some or all",
        "not validated",
    ]
    assert known["budget", MODELLED][0] == "invented"
    assert known["file", "all"] == ["modelled: counted from shapes, not measured", "not validated"]


def test_what_is_not_there_yet_names_its_command(place: Place) -> None:
    """One sentence each for measurements and certificates."""
    page = Page(render(look_around(asked_for(place))))
    assert f"python -m toolkit.search --device {MODELLED} --run {place.run}" in page.text
    assert "--measure --target TARGET" in page.text
    bundles = shlex.quote(str(place.out / "bundles" / "NAME"))
    assert f"python -m toolkit.verify --bundle {bundles} --run {place.run}" in page.text
    assert f"No bundle lies in {place.out}/bundles yet" in page.text


def test_a_bundle_that_was_never_verified_is_named(full_place: Place) -> None:
    """Beside those that have a certificate."""
    for name in ("lab-8", "fresh"):
        folder = full_place.out / "bundles" / name
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text("{}")
    assert "Without a certificate: fresh. This makes one:" in Page(render(look_around(asked_for(full_place)))).text


def test_a_device_without_a_budget(place: Place) -> None:
    """Nothing is inside a budget that there is not; the sources of single bounds are told."""
    write_profile(place.devices, "bare", "")
    board = write_profile(place.devices, MODELLED, "max_core_share = 0.013")
    board.write_text(board.read_text().replace('budget = "invented"', '"budget.max_core_share" = "documented"'))
    save_table(invented_table(Run.open(place.run), device="bare"), place.devices / "tables")
    page = Page(render(look_around(replace(asked_for(place), device_names=("bare", MODELLED)))))
    assert {row[-1] for row in page.rows if "★ pick" in row[0]} == {"no budget", "inside the budget"}
    assert page.row("budget", MODELLED)[2] == "max_core_share: documented"


def test_texts_from_files_do_no_harm(findings: Findings) -> None:
    """A label, note, remark or machine that is markup is shown as text: elements and scripts are the page's own."""
    text = render(findings)
    page = Page(text)
    harmless = replace(
        findings,
        manifest=findings.manifest.model_copy(update={"labels": ("Bell",)}),
        certificates={path: each.model_copy(update={"machine": "m"}) for path, each in findings.certificates.items()},
        measured={path: each.model_copy(update={"remarks": ("r",)}) for path, each in findings.measured.items()},
    )
    names = [tag for tag, _ in page.tags]
    assert names == [tag for tag, _ in Page(render(harmless)).tags]
    assert names.count("script") == len(page.scripts) == 3
    assert "img" not in names
    assert page.text.count("window.hacked = 1") >= 4 * HOSTILE.count("window.hacked"), "it is there to be read"
    assert not any("hacked" in script for script in page.scripts)


def test_no_mark_up_hides_in_the_charts_data(findings: Findings) -> None:
    """A hover's few tags are written so that no browser takes the data's end for reached."""
    drawn = chart_json(findings)
    assert "<" not in drawn
    assert "<br>" in json.loads(drawn)["data"][2]["text"][0]


def test_the_page_loads_nothing(page: Page) -> None:
    """No element names a resource outside, and the page's own policy forbids every request."""
    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base"}
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    (policy,) = [each["content"] for tag, each in page.tags if tag == "meta" and "http-equiv" in each]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src"}
    assert not re.search(r"url\(|@import", page.style)


def test_links_inside_the_page_lead_somewhere(page: Page) -> None:
    """Every section that is linked is there, and no id stands twice."""
    ids = [each["id"] for _, each in page.tags if "id" in each]
    assert len(set(ids)) == len(ids)
    assert {each["href"] for tag, each in page.tags if tag == "a"} <= {f"#{name}" for name in ids}


def test_a_clip_has_no_share_of_a_core(place: Place) -> None:
    """In clip mode the table and the hover have a dash or nothing there, and the page is whole."""
    save_table(invented_table(Run.open(place.run), "clip", device=MEASURED), place.devices / "tables")
    page = Page(render(look_around(replace(asked_for(place), mode="clip"))))
    assert page.row(MEASURED)[4] == "\N{EN DASH}"
    assert not any("share" in text for trace in traces(page) for text in trace.get("text", ()))
