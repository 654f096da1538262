"""The page in headless Chromium, opened from its file without a network: it draws, answers and harms nobody."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.report.conftest import MEASURED, MODELLED, TIGHT
from tests.search.conftest import Place
from toolkit.report.findings import Asked, Findings, look_around
from toolkit.report.page import write_page

pytestmark = pytest.mark.system
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, the system's own."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("chromium is not installed. Run: scripts/install-system-packages", pytrace=False)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def findings(shown_place: Place) -> Findings:
    """Three devices, one of them measured, one that nothing fits."""
    return look_around(Asked(run=shown_place.run, devices=shown_place.devices, out=shown_place.out))


@pytest.fixture(scope="module")
def address(findings: Findings, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the page's file."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(findings, path)
    return path.as_uri()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened; a request, a dialog, or a word on the console fails the test."""
    options: dict[str, object] = {"viewport": WIDE, "offline": True, **getattr(request, "param", {})}
    context = browser.new_context(**options)  # type: ignore[arg-type]
    opened = context.new_page()
    faults: list[str] = []
    opened.on("console", lambda message: faults.append(message.text))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: faults.append(dialog.message))
    opened.on("request", lambda asked: faults.append(asked.url) if asked.url != address else None)
    opened.goto(address)
    if options.get("java_script_enabled", True):
        opened.wait_for_selector("#chart .point")
    yield opened
    assert not opened.evaluate("'hacked' in window")
    context.close()
    assert not faults


def shown(page: Page, part: str) -> set[str]:
    """Devices whose traces of this part are drawn and hold points."""
    script = "part => chart.data.filter(t => t.visible && t.meta.part === part && t.x.length).map(t => t.meta.device)"
    return set(page.evaluate(script, part))


def visible_rows(page: Page, device: str) -> list[Locator]:
    """Rows of a device's cost table that can be seen."""
    return page.locator(f".layers[data-device={device}] tbody tr:visible").all()


def test_a_hover_shows_the_subnet(page: Page, findings: Findings) -> None:
    """Over the measured device's star: device, subnet, mAP and figures, with how they are known."""
    device = next(device for device in findings.devices if device.name == MEASURED)
    assert device.best
    for name in (MODELLED, TIGHT):
        page.get_by_role("checkbox", name=name).uncheck()
    page.locator("#chart").scroll_into_view_if_needed()
    box = page.locator("#chart .scatterlayer .trace .point").last.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#chart .hovertext")
    text = page.locator("#chart .hovertext").text_content() or ""
    for words in (
        MEASURED,
        f"subnet {device.best.subnet}, the pick",
        f"mAP {device.best.mean_average_precision:.3f}",
        f"latency {device.best.cost.latency_ms.value:.4g} ms (measured)",
        "inside the budget",
    ):
        assert words in text


def test_the_chart_is_never_sent_away(page: Page) -> None:
    """Of plotly's buttons the one that uploads the figure is left out; the others have names."""
    names = page.locator("#chart").get_by_role("button").evaluate_all("all => all.map(each => each.ariaLabel)")
    assert "Zoom in" in names
    assert not [name for name in names if re.search("share|cloud|upload|edit", name, re.IGNORECASE)]


def test_devices_can_be_chosen_with_the_keyboard(page: Page) -> None:
    """A box that the space bar clears takes its device off the chart, and brings it back."""
    assert shown(page, "front") == {MEASURED, MODELLED, TIGHT}
    page.get_by_role("checkbox", name=MODELLED).focus()
    page.keyboard.press("Space")
    assert shown(page, "front") == {MEASURED, TIGHT}
    page.keyboard.press("Space")
    assert shown(page, "front") == {MEASURED, MODELLED, TIGHT}


def test_what_is_outside_the_budget_can_be_left_out(page: Page) -> None:
    """The selector leaves subnets inside the budget, of the devices that have some."""
    count = "chart.data.filter(t => t.visible && t.text).reduce((sum, t) => sum + t.x.length, 0)"
    every = page.evaluate(count)
    page.get_by_role("combobox", name="Subnets").select_option("inside the budget")
    assert shown(page, "front") == {MEASURED, MODELLED}
    assert 0 < page.evaluate(count) < every
    assert page.locator("#chart .point").count() == page.evaluate(count)


def test_layers_are_filtered(page: Page, findings: Findings) -> None:
    """By device, kind and text, all together; a count says how many are left."""
    tables = {device.name: list(device.table.rows.values()) for device in findings.devices}
    first = findings.devices[0].name
    assert len(visible_rows(page, first)) == len(tables[first])
    assert not visible_rows(page, MEASURED)

    form = page.locator("#layer-filter")
    form.get_by_label("Device").select_option("all")
    form.get_by_label("Layer or note").fill("hacked")
    assert len(visible_rows(page, MODELLED)) == len(tables[MODELLED]), "a note that is told once is each row's"
    assert not visible_rows(page, MEASURED)
    form.get_by_label("Layer or note").fill("")
    form.get_by_label("Kind").select_option("measured")
    assert len(visible_rows(page, MEASURED)) == len(tables[MEASURED])
    assert not visible_rows(page, MODELLED)

    form.get_by_label("Layer or note").fill("CONV2D-k3-1x8")
    kept = [row.layer.name for row in tables[MEASURED] if "conv2d-k3-1x8" in row.layer.name]
    assert kept
    assert [row.locator("th").text_content() for row in visible_rows(page, MEASURED)] == kept
    total = sum(map(len, tables.values()))
    assert form.get_by_role("status").text_content() == f"{len(kept)} of {total} layers"


def test_layers_are_sorted(page: Page, findings: Findings) -> None:
    """A column's button sorts numbers as numbers, up and then down, and says so to screen readers."""
    device = findings.devices[0]
    table = page.locator(f".layers[data-device={device.name}] table")
    head = table.get_by_role("columnheader", name="latency, us")
    latencies = sorted(f"{row.latency_us:,.1f}" for row in device.table.rows.values())
    for order, is_down in (("ascending", False), ("descending", True)):
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == order
        texts = table.locator("tbody tr td:nth-child(3)").all_text_contents()
        values = [float(text.replace(",", "")) for text in texts]
        assert values == sorted(values, reverse=is_down)
        assert sorted(texts) == latencies, "no row is lost"
    table.get_by_role("columnheader", name="layer").get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None


@pytest.mark.parametrize("page", [{"viewport": WIDE}, {"viewport": NARROW}], indirect=True, ids=["wide", "narrow"])
def test_nothing_sticks_out(page: Page) -> None:
    """The page is never wider than its window; a wide table scrolls in its own box, which the keyboard reaches."""
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    page.locator("#layer-filter").get_by_label("Device").select_option("all")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    chart = page.locator("#chart .main-svg").first.bounding_box()
    assert chart
    assert chart["x"] + chart["width"] <= page.evaluate("innerWidth")
    boxes = page.locator(".scroll").all()
    assert boxes
    assert all(box.get_attribute("tabindex") == "0" and box.get_attribute("aria-label") for box in boxes)


CONTRAST = """
() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const ground = (each) => {
    for (let at = each; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
  };
  const words = ["p", "td", "th", "a", "summary", "label", ".note", ".key", "legend", "output", ".good", ".bad"];
  const texts = words.flatMap((name) => [...document.querySelectorAll(name)]).filter((each) => each.checkVisibility());
  const worst = Math.min(...texts.map((each) => ratio(light(getComputedStyle(each).color), light(ground(each)))));
  const page = light(getComputedStyle(document.body).backgroundColor);
  const drawn = [...document.querySelectorAll(".swatch")].map((each) => getComputedStyle(each).backgroundColor);
  const ticks = [...document.querySelectorAll("#chart .xtick text")].map((each) => getComputedStyle(each).fill);
  const line = (text) => ratio(light(text), page);
  return { page, worst, drawn: Math.min(...drawn.map(line)), ticks: Math.min(...ticks.map(line)) };
}
"""


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_colours_are_legible(page: Page, request: pytest.FixtureRequest) -> None:
    """In light and dark: text at 4.5 to 1 and lines at 3 to 1 against what they stand on.

    Source: WCAG 2.2, success criteria 1.4.3 and 1.4.11.
    """
    found = page.evaluate(CONTRAST)
    assert (found["page"] < 0.05) == ("dark" in request.node.name)
    assert found["worst"] >= 4.5
    assert found["ticks"] >= 4.5
    assert found["drawn"] >= 3


def test_the_chart_follows_a_change_to_dark(page: Page) -> None:
    """The open page changes its colours with the system's."""
    tick = page.locator("#chart .xtick text").first
    before = tick.evaluate("each => getComputedStyle(each).fill")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "before => getComputedStyle(document.querySelector('#chart .xtick text')).fill !== before", arg=before
    )


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True, ids=["without"])
def test_it_can_be_read_without_javascript(page: Page, findings: Findings) -> None:
    """All cost tables, picks and certificates stand there; the chart says what it needs."""
    text = page.locator("main").inner_text()
    assert "The chart needs JavaScript" in text
    assert not page.locator("form").first.is_visible()
    for device in findings.devices:
        assert len(visible_rows(page, device.name)) == len(device.table.rows)
    assert "not run: needs macOS" in text


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True, ids=["dark"])
def test_it_prints(page: Page, tmp_path: Path) -> None:
    """On A4 all is dark on white, tables are whole, nothing sticks out, and the devices' colours are told."""
    page.locator("#layer-filter").get_by_label("Device").select_option("all")
    page.get_by_role("checkbox", name=TIGHT).uncheck()
    page.set_viewport_size({"width": 794, "height": 1123})
    page.emulate_media(media="print")
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('#chart .xtick text')).fill === 'rgb(0, 0, 0)'"
    )
    found = page.evaluate(CONTRAST)
    assert (found["page"], found["worst"] >= 4.5, found["drawn"] >= 3) == (1, True, True)
    cut = "[...document.querySelectorAll('.scroll')].map(each => each.scrollHeight - each.clientHeight)"
    assert max(page.evaluate(cut)) <= 1
    assert page.evaluate("document.documentElement.scrollWidth") == 794
    assert not page.locator("#layer-filter").is_visible()
    assert page.locator(".swatch").first.is_visible()
    assert not page.locator("fieldset label", has_text=TIGHT).is_visible()
    page.pdf(path=tmp_path / "report.pdf")
    assert len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "report.pdf").read_bytes())) > 1
