"""A subnet's predicted cost is the sum of its layers, and is no better known than the worst known of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.costs.invented import invented_row, invented_table
from tests.fakes import fake_run
from toolkit.costs.predict import predict
from toolkit.specs.cost import CostRow, CostTable
from toolkit.specs.errors import MismatchError
from toolkit.specs.front_end import FrontEndSpec
from toolkit.specs.layer import Mode
from toolkit.specs.run import Run
from toolkit.specs.space import preset_space

SPACE, FRONT_END, LABELS = preset_space(base_width=8), FrontEndSpec(), 4
SUBNETS = list(SPACE.subnets())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A Run at base width 8 with four labels."""
    return Run.open(fake_run(tmp_path_factory.mktemp("run")))


@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_figures_are_sums_over_the_layers(run: Run, mode: Mode) -> None:
    """Latency and file size add up over all layers, front end included; memory takes the largest activations once."""
    table = invented_table(run, mode, runtime_base_bytes=1_000_000)
    for subnet in SUBNETS[::13]:
        cost = predict(table, SPACE, subnet, FRONT_END, LABELS)
        layers = SPACE.layers(subnet, FRONT_END, LABELS, mode)
        assert layers[0].operator == "front_end"
        macs = SPACE.macs(subnet, FRONT_END, LABELS, mode)
        assert cost.latency_ms.value == pytest.approx((10 * len(layers) + macs / 1000) / 1000)
        assert cost.file_mb.value == pytest.approx(SPACE.params(subnet, LABELS) / 1e6)
        # The invented activations are greatest in the second convolution: base width in, base width out, all bins.
        frames = 96 if mode == "stream" else 1000
        assert cost.memory_mb.value == pytest.approx(cost.file_mb.value + 1 + 4 * frames * 64 * (8 + 8) / 1e6)
        assert (cost.params, cost.macs) == (SPACE.params(subnet, LABELS), macs)


def test_memory_is_what_all_layers_keep_and_the_most_that_one_needs(run: Run) -> None:
    """With measured peaks nothing is counted; one layer without a peak, and all of it is counted again."""
    plain = invented_table(run, "stream", "measured", runtime_base_bytes=1_000_000)

    def with_peaks(rows: Iterable[CostRow]) -> Iterator[CostRow]:
        for row in rows:
            kept = row.layer.params
            yield row.model_copy(update={"kept_bytes": kept, "peak_bytes": kept + 100 * row.layer.channels_out})

    key = plain.key.model_copy(update={"network_bytes": 5000})
    table = CostTable(key, with_peaks(plain.rows.values()))
    for subnet in SUBNETS[::13]:
        layers = SPACE.layers(subnet, FRONT_END, LABELS, "stream")
        widest = max(layer.channels_out for layer in layers)
        memory = predict(table, SPACE, subnet, FRONT_END, LABELS).memory_mb
        expected = 1_000_000 + 5000 + SPACE.params(subnet, LABELS) + 100 * widest
        assert memory.value == pytest.approx(expected / 1e6)
        assert memory.kind == "measured"
    last = SPACE.layers(SPACE.largest, FRONT_END, LABELS, "stream")[-1]
    holed = CostTable(key, [plain.row(last) if row.layer == last else row for row in table.rows.values()])
    counted, again = (predict(each, SPACE, SPACE.largest, FRONT_END, LABELS).memory_mb for each in (plain, holed))
    assert again == counted
    assert again.kind == "modelled"


def test_share_of_a_core_is_for_streams_only(run: Run) -> None:
    """A stream's share is its latency over the 0.96 s of a chunk, times the threads; a clip has none."""
    table = invented_table(run, "stream")
    cost = predict(table, SPACE, SPACE.largest, FRONT_END, LABELS)
    assert cost.core_share is not None
    assert cost.core_share.value == pytest.approx(cost.latency_ms.value / 960)
    double = CostTable(table.key.model_copy(update={"threads": 2}), table.rows.values())
    shared = predict(double, SPACE, SPACE.largest, FRONT_END, LABELS).core_share
    assert shared is not None
    assert shared.value == pytest.approx(2 * cost.core_share.value)
    assert predict(invented_table(run, "clip"), SPACE, SPACE.largest, FRONT_END, LABELS).core_share is None


@given(
    subnet=st.sampled_from(SUBNETS),
    kinds=st.lists(st.sampled_from(["measured", "interpolated", "modelled"]), min_size=80, max_size=80),
)
def test_latency_is_of_the_weakest_kind(run: Run, subnet, kinds) -> None:  # type: ignore[no-untyped-def]
    """One modelled layer makes the subnet's latency modelled, other layers do not count; bytes were not measured."""
    table = invented_table(run, "stream")
    by_name = dict(zip(table.rows, kinds, strict=False))
    assert len(by_name) == len(table.rows)
    mixed = CostTable(table.key, [invented_row(row.layer, by_name[name]) for name, row in table.rows.items()])
    names = [layer.name for layer in SPACE.layers(subnet, FRONT_END, LABELS, "stream")]
    weakest = max(["measured", "interpolated", "modelled"].index(by_name[name]) for name in names)
    cost = predict(mixed, SPACE, subnet, FRONT_END, LABELS)
    assert cost.core_share is not None
    expected = ["measured", "interpolated", "modelled"][weakest]
    assert {cost.latency_ms.kind, cost.core_share.kind} == {expected}
    assert {cost.memory_mb.kind, cost.file_mb.kind} == {"modelled"}


@pytest.mark.parametrize(
    ("space", "front_end", "labels", "said"),
    [
        (preset_space(base_width=16), FRONT_END, LABELS, "base width 8, not ew-ed-22x at base width 16"),
        (preset_space("ew-only", 8), FRONT_END, LABELS, "not ew-only"),
        (SPACE, FrontEndSpec(f_max_hz=8000.0), LABELS, "front end"),
        (SPACE, FRONT_END, 5, "4 labels, not 5"),
    ],
)
def test_tables_of_something_else_are_refused(run: Run, space, front_end, labels, said) -> None:  # type: ignore[no-untyped-def]
    """A table of another space, front end or label count is refused; one line says what differs."""
    with pytest.raises(MismatchError, match=said) as caught:
        predict(invented_table(run), space, space.largest, front_end, labels)
    assert "\n" not in str(caught.value)


def test_a_missing_layer_is_named(run: Run) -> None:
    """A table without one of the subnet's layers is refused by that layer's name."""
    table = invented_table(run)
    gone = SPACE.layers(SPACE.largest, FRONT_END, LABELS, "stream")[5].name
    holed = CostTable(table.key, [row for name, row in table.rows.items() if name != gone])
    with pytest.raises(MismatchError, match=gone):
        predict(holed, SPACE, SPACE.largest, FRONT_END, LABELS)
