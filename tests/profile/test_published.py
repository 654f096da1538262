"""Reading published rows: what is understood, what is named as not scored, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.profile.cores import known_cores
from toolkit.profile.published import PUBLISHED, published_rows, read_rows
from toolkit.profile.published_row import Row, kernels_of
from toolkit.specs.errors import UserError

HEAD = "device,soc,core,threads,framework,model,precision,latency_ms,gmacs,params_m,source,achieved_gmac_s,notes"
LINE = ["Board", "chip", "4x Cortex-A72 1.5GHz", "4", "TFLite 2.7.1 (ruy)", "mobilenet-v1-1.0-224", "fp32", "72.5"]
FIELDS = HEAD.split(",")


def read(tmp_path: Path, *lines: list[str], head: str = HEAD) -> tuple[tuple[Row, ...], dict[str, int]]:
    """Rows, and reasons for those that are not scored."""
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([head, *(",".join(line) for line in lines)]) + "\n")
    found = read_rows(path)
    return found.rows, dict(found.not_scored)


def line(**changes: str) -> list[str]:
    """A good line, but for some fields."""
    fields = dict(zip(FIELDS, [*LINE, "0.5687", "4.21", "a page", "7.84", ""], strict=True))
    return list({**fields, **changes}.values())


def test_a_row_of_a_whole_network(tmp_path: Path) -> None:
    """Core, clock, threads, kernels and layer list are found."""
    (row,), not_scored = read(tmp_path, line())
    assert (row.core, row.clock_ghz, row.threads, row.kernels) == ("Cortex-A72", 1.5, 4, "tflite-2")
    assert (row.precision, row.latency_ms, row.exact, row.bits) == ("fp32", 72.5, True, 64)
    assert row.architecture.family == "mobilenet-v1"
    assert not_scored == {}


@pytest.mark.parametrize(
    ("core", "name", "clock_ghz"),
    [
        ("Cortex-A53-class little 1.9GHz", "Cortex-A53", 1.9),
        ("2x A72 1.8 + 4x A53 1.4GHz", "Cortex-A72", 1.8),
        ("A76-class big 2.96+3x2.42GHz", "Cortex-A76", 2.96),
        ("12x Cortex-A78AE 2.2GHz", "Cortex-A78", 2.2),
        ("1x X1 2.84 + 3x A78 2.4GHz (big)", "Cortex-X1", 2.84),
        ("Cortex-A55r1 1.6GHz (big core)", "Cortex-A55", 1.6),
        ("4x Cortex-A7 0.9GHz", "Cortex-A7", 0.9),
        ("4x Cortex-A73 2GHz", "Cortex-A73", 2.0),
        ("4x Cortex-A72 (1.5GHz assumed)", "Cortex-A72", 1.5),
        ("Cortex-A35 (clock not stated)", "Cortex-A35", 1.3),
    ],
)
def test_cores_are_told_apart(tmp_path: Path, core: str, name: str, clock_ghz: float) -> None:
    """The first that is named, with its clock, or the core's usual one: an A35 is no A53, an A7 no A78."""
    (row,), _ = read(tmp_path, line(core=core))
    assert (row.core, row.clock_ghz) == (name, clock_ghz)


@pytest.mark.parametrize(
    ("framework", "kernels"),
    [
        ("TFLite 1.15", "tflite-1"),
        ("TFLite 2.4.1 (ruy)", "tflite-2"),
        ("TFLite (HW-NAS-Bench)", "tflite-2"),
        ("TFLite+XNNPACK label_image", "xnnpack"),
        ("TFLite 2.20", "xnnpack"),
        ("LiteRT 2.3", "xnnpack"),
        ("ExecuTorch 1.5", "xnnpack"),
        ("ncnn (Dec 2021)", "ncnn"),
        ("Tengine-lite 1.0-dev", "tengine"),
        ("ArmNN 21.11 (Neon)", "armnn"),
        ("Paddle-Lite 2.11 armv8", "paddle"),
        ("ONNX Runtime", None),
        ("", None),
    ],
)
def test_frameworks_are_known_by_who_computes(framework: str, kernels: str | None) -> None:
    """ruy is not XNNPACK, and ncnn's Winograd is neither."""
    assert kernels_of(framework) == kernels


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("framework", "MNN", "unknown framework: MNN"),
        ("core", "Hexagon 780", "unknown core: Hexagon 780"),
        ("core", "", "unknown core: none"),
        ("precision", "bf16", "unknown precision: bf16"),
        ("precision", "fp16-weights", "unknown precision: fp16-weights"),
        ("precision", "fp16(arith)", "unknown precision: fp16(arith)"),  # an A72 has no such arithmetic
        ("latency_ms", "", "no latency stated"),
        ("latency_ms", "fast", "no latency stated"),
        ("latency_ms", "-3", "no latency stated"),
        ("latency_ms", "nan", "no latency stated"),
        ("threads", "many", "cannot be read"),
        ("threads", "0", "unknown number of threads: 0"),
        ("threads", "nan", "unknown number of threads: nan"),
        ("notes", "LOW TRUST: throttled", "its source calls it of low trust"),
    ],
)
def test_what_a_row_does_not_say_is_named(tmp_path: Path, field: str, text: str, reason: str) -> None:
    """It is counted under its reason; the good line beside it is scored."""
    rows, not_scored = read(tmp_path, line(**{field: text}), line())
    assert len(rows) == 1
    ((found, count),) = not_scored.items()
    assert found.startswith(reason)
    assert count == 1


def test_an_unknown_network_needs_its_counts(tmp_path: Path) -> None:
    """With them another stands in for it, without them it is not scored."""
    rows, not_scored = read(tmp_path, line(model="secretnet"), line(model="secretnet", gmacs="", params_m=""))
    assert [row.exact for row in rows] == [False]
    assert not_scored == {"unknown network without a count of multiply-accumulates: secretnet": 1}


def test_short_and_long_lines_do_not_break_the_reading(tmp_path: Path) -> None:
    """They are counted."""
    rows, not_scored = read(tmp_path, line()[:6], [*line(), "and", "more"], [""])
    assert len(rows) == 1
    assert sum(not_scored.values()) >= 1


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.csv")), ids=lambda path: path.stem)
def test_every_published_file_can_be_scored(path: Path) -> None:
    """Each of its rows is a latency or has a reason why not."""
    found = read_rows(path)
    assert found.rows or found.not_scored


def test_the_form_of_facts_is_known_too(tmp_path: Path) -> None:
    """It holds no latency, and that is what is said."""
    rows, not_scored = read(tmp_path, ["a", "b", "1", "ms", "c", "d"], head="target,item,value,unit,status,source")
    assert rows == ()
    assert list(not_scored) == ["no latency of a network: the model takes such figures, it does not predict them"]


@pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3\n", "device,core\nx,y\n"])
def test_other_columns_are_one_clear_error(tmp_path: Path, text: str) -> None:
    """It names what was found and what was expected."""
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(UserError, match=r"rows.csv has the columns .*expected those of a file in devices/published: "):
        read_rows(tmp_path / "rows.csv")


@pytest.mark.parametrize("content", [b"\xff\xfe", HEAD.encode() + b"\n\x00\xff"])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    """As every file that people name."""
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_rows(tmp_path / "rows.csv")


@given(
    st.sampled_from(FIELDS),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters='",\r\n'), max_size=30),
)
def test_no_text_in_a_field_breaks_the_reading(tmp_path_factory: pytest.TempPathFactory, field: str, text: str) -> None:
    """One line in, one row or one reason out."""
    rows, not_scored = read(tmp_path_factory.mktemp("rows"), line(**{field: text}))
    assert len(rows) + sum(not_scored.values()) == 1


def test_every_published_row_has_a_source() -> None:
    """Of the device, of the core, and of the figure."""
    assert all(len(core.source) > 15 for core in known_cores().values())
    assert len(published_rows()) > 1900
