"""Layer lists of published networks: their counts are those that their papers, or the rows themselves, state."""

from __future__ import annotations

import csv

import pytest

from toolkit.profile.architectures import architecture, stand_in
from toolkit.profile.nas_benchmarks import fbnet_block, nas_bench_201
from toolkit.profile.published import PUBLISHED

OTHERWISE = {
    "squeezenet": "ncnn's row counts 1.1 with other borders",
    "mobilenet_v2": "the rows of ncnn and Tengine take the paper's round numbers of another build",
    "mobilenetv2": "as above",
    "MobileNet v3 Small": "the row takes the figures of the paper's first version",
    "Inception_V1": "the row rounds to 1.5 G and 6.6 M",
}
"""Rows whose counts are not their network's, and why."""


def rows(file: str) -> list[dict[str, str]]:
    """Lines of a published file."""
    with (PUBLISHED / file).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_counts_are_those_of_the_published_rows() -> None:
    """Multiply-accumulates and parameters of every network that is known, to 2 % or the last printed figure."""
    stated = {(row["model"], row["gmacs"], row["params_m"]) for row in rows("latency_rows.csv")}
    known = [(name, gmacs, params) for name, gmacs, params in stated if architecture(name) and name not in OTHERWISE]
    assert len(known) > 60
    for name, gmacs, params_m in known:
        found = architecture(name)
        assert found
        for counted, text in ((found.macs / 1e9, gmacs), (found.params / 1e6, params_m)):
            if text:
                last_figure = 10.0 ** -len(text.partition(".")[2])
                assert counted == pytest.approx(float(text), rel=0.02, abs=last_figure), name


@pytest.mark.parametrize(
    ("name", "macs", "params"),
    [
        ("mobilenet-v1-1.0-224", 569e6, 4.23e6),  # Howard et al. 2017, table 4
        ("mobilenet-v1-0.5-160", 77e6, 1.32e6),  # table 6 of the paper's repository
        ("mobilenet_v2", 300e6, 3.4e6),  # Sandler et al. 2018, table 4
        ("MobileNet v3 Large", 219e6, 5.4e6),  # Howard et al. 2019, table 3
        ("MobileNet v3 Small", 56e6, 2.5e6),
        ("efficientnet-lite0", 407e6, 4.7e6),  # its README, which counts all operators
        ("efficientnet_lite4", 2640e6, 13.0e6),
        ("mnasnet", 315e6, 4.4e6),  # Tan et al. 2019, table 1, B1
        ("resnet18", 1.8e9, 11.7e6),  # He et al. 2016, table 1
        ("resnet50", 3.9e9, 25.6e6),
        ("squeezenet_v1.1", 0.35e9, 1.24e6),
        ("googlenet", 1.5e9, 7.0e6),
        ("Inception_V3", 5.7e9, 23.8e6),
        ("shufflenet_v2", 146e6, 2.3e6),  # Ma et al. 2018, table 8
    ],
)
def test_counts_are_those_of_the_papers(name: str, macs: float, params: float) -> None:
    """To the figures that papers round to."""
    found = architecture(name)
    assert found
    assert found.macs == pytest.approx(macs, rel=0.06)
    assert found.params == pytest.approx(params, rel=0.03)


def test_cells_of_nas_bench_201_count_what_their_rows_say() -> None:
    """Rows leave out what only zeros reach, which is computed all the same: then ours is more, never less."""
    exact = 0
    published = rows("nasbench201_latency_extract.csv")
    for row in published:
        counted = nas_bench_201(row["arch"]).macs / 1e6
        assert counted >= float(row["mmacs"]) - 0.01
        exact += abs(counted - float(row["mmacs"])) < 0.01
    assert exact > 0.75 * len(published)


def test_blocks_of_fbnet_count_what_their_rows_say() -> None:
    """All of them, to the last printed figure."""
    for row in rows("fbnet_block_lut_raspi4_pixel3.csv"):
        shape = (int(row[side]) for side in ("c_in", "c_out", "h_in", "stride"))
        assert fbnet_block(row["block"], *shape).macs / 1e6 == pytest.approx(float(row["mmacs"]), abs=1e-4)


@pytest.mark.parametrize("text", ["", "|none~0|", "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|", "x" * 99])
def test_a_text_that_is_no_cell_is_refused(text: str) -> None:
    """With the text."""
    with pytest.raises(ValueError, match="no cell of NAS-Bench-201"):
        nas_bench_201(text)


@pytest.mark.parametrize(
    ("name", "macs", "params"), [("yolov4-tiny", 3.45e9, 6.05e6), ("mobilenet_ssd", 1.15e9, 5.8e6)]
)
def test_an_unknown_network_is_stood_in_for_by_one_of_its_counts(name: str, macs: float, params: float) -> None:
    """Multiply-accumulates within a tenth, parameters within a half; a mobile one by name has depthwise layers."""
    found = stand_in(name, macs, params)
    assert architecture(name) is None
    assert found.macs == pytest.approx(macs, rel=0.1)
    assert found.params == pytest.approx(params, rel=0.5)
    kinds = {operation.kind for operation in found.operations}
    assert ("depthwise" in kinds) == name.startswith("mobile")
