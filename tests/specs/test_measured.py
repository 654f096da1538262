"""What was predicted and what was measured, as a record that cannot say passed where the figures say failed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.costs.invented import ENVIRONMENT
from tests.specs.test_records import picks
from toolkit.specs.cost import Measurement
from toolkit.specs.measured import Comparison, Measured, measured_path
from toolkit.specs.pick import Pick

amounts = st.floats(1e-3, 1e6)
comparisons = st.builds(Comparison.of, amounts, st.sampled_from(["measured", "interpolated", "modelled"]), amounts)


def record(pick: Pick, latency_ms: Comparison, memory_mb: Comparison | None, **changes: Any) -> Measured:
    """A record of two comparisons; `changes` replace its fields."""
    plain = {
        "pick": pick,
        "target": "local",
        "agent": "PythonAgent",
        "file_sha256": "0" * 64,
        "measurement": Measurement(latencies_us=(1.0,), warmups_us=(), environment=ENVIRONMENT),
        "base_bytes": 1_000_000,
        "peak_bytes": None,
        "latency_ms": latency_ms,
        "memory_mb": memory_mb,
        "passed": latency_ms.passed and (memory_mb is None or memory_mb.passed),
        "created_utc": "2026-01-01T00:00:00+00:00",
    }
    return Measured(**{**plain, **changes})


@given(pick=picks, latency_ms=comparisons, memory_mb=st.none() | comparisons)
def test_records_survive_their_file(
    pick: Pick, latency_ms: Comparison, memory_mb: Comparison | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A record reads back equal from the place that belongs to it."""
    path = measured_path(pick, tmp_path_factory.getbasetemp() / "out")
    written = record(pick, latency_ms, memory_mb)
    written.save(path)
    assert Measured.load(path) == written
    assert path.parent.name == "measured"


@pytest.mark.parametrize(
    ("predicted", "error", "passed"),
    [(8.0, 0.0, True), (8.75, 0.09375, True), (7.25, -0.09375, True), (9.0, 0.125, False), (7.0, -0.125, False)],
)
def test_a_tenth_of_what_was_measured_is_allowed(predicted: float, error: float, passed: bool) -> None:
    """Either way, and as a share of the measured figure."""
    comparison = Comparison.of(predicted, "measured", 8.0)
    assert (comparison.error, comparison.passed) == (error, passed)


@given(latency_ms=comparisons, memory_mb=comparisons, pick=picks)
def test_a_record_cannot_claim_what_its_figures_deny(pick: Pick, latency_ms: Comparison, memory_mb: Comparison) -> None:
    """Neither a comparison nor the whole; and memory that cannot be compared neither passes nor fails."""
    whole = latency_ms.passed and memory_mb.passed
    with pytest.raises(ValueError, match="not what the comparisons say"):
        record(pick, latency_ms, memory_mb, passed=not whole)
    assert record(pick, latency_ms, None).passed == latency_ms.passed
    turned = latency_ms.model_dump() | {"passed": not latency_ms.passed}
    with pytest.raises(ValueError, match="not those of the two figures"):
        Comparison.model_validate(turned)


@given(pick=picks)
def test_memory_of_the_network_alone(pick: Pick) -> None:
    """Both figures less the memory of a process without a model."""
    latency_ms, memory_mb = Comparison.of(1.0, "measured", 1.0), Comparison.of(5.0, "measured", 4.0)
    assert record(pick, latency_ms, memory_mb, base_bytes=3_000_000).network_mb == (2.0, 1.0)
    assert record(pick, latency_ms, None).network_mb is None
