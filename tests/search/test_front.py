"""The Pareto front against its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.search.toys import costs
from toolkit.search.front import Scored, best, staircase, undominated
from toolkit.specs.space import Subnet

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


def scored(*rows: tuple[float, float]) -> list[Scored]:
    """Subnets by latency (ms) and mAP."""
    cost = costs([latency for latency, _ in rows], [1] * len(rows))
    return [Scored(Subnet(blocks=((at + 1,),)), score, cost[at], is_inside=True) for at, (_, score) in enumerate(rows)]


def test_the_best_is_the_quicker_of_equals() -> None:
    """The highest mAP wins; of two alike the quicker subnet; of none there is none."""
    every = scored((3.0, 0.7), (2.0, 0.7), (1.0, 0.6))
    assert best(every) is every[1]
    assert best([]) is None


def test_a_staircase_only_rises() -> None:
    """A member of the front that is there for its memory alone, slower and no better, is no step."""
    assert staircase(scored((1.0, 0.5), (2.0, 0.4), (3.0, 0.6))) == ([1.0, 3.0], [0.5, 0.6])
