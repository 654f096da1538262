"""The Pareto front against its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolkit.search.front import undominated

points = st.integers(1, 3).flatmap(
    lambda objectives: st.lists(st.tuples(*[st.integers(0, 6)] * objectives), min_size=0, max_size=30)
)


@given(points=points)
def test_only_what_nothing_beats_stays(points: list[tuple[int, ...]]) -> None:
    """A point stays where no other one is as good in all objectives and better in one; equal points stay together."""
    kept = undominated(points)
    for point, stays in zip(points, kept, strict=True):
        beaten = any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point for other in points)
        assert stays == (not beaten)


def test_nothing_has_no_front() -> None:
    """No points, no front."""
    assert undominated([]).tolist() == []
