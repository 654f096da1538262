"""From an agent's lines to timings: which count, what is redone, tried again and waited for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import ENVIRONMENT
from tests.profile.boards import Answer, Board, peak, start, visit
from toolkit.profile.journal import Journal
from toolkit.profile.measure import COOL_DOWN_SECONDS, Effort, Session, load_average
from toolkit.specs.cost import Measurement
from toolkit.specs.errors import StableDeviceError, TransientDeviceError
from toolkit.targets import Peak, PythonAgent, Start, Visit

EFFORT = Effort(rounds=3, redo_rounds=0, warmups=1, runs=2, seconds=1.0, note="")
FILES = ("a.tflite", "b.tflite", "c.tflite")


class Watch:
    """Counts what a session waits."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.seen: list[tuple[str, int, int]] = []

    def sleep(self, seconds: float) -> None:
        """Do not wait."""
        self.waited.append(seconds)

    def report(self, what: str, done: int, total: int) -> None:
        """Note it."""
        self.seen.append((what, done, total))


def session(board: Board, journal: Journal, effort: Effort = EFFORT, watch: Watch | None = None) -> Session:
    """Of three files that are never opened."""
    watch = watch or Watch()
    files = {name: Path(name) for name in FILES}
    return Session(board, PythonAgent(), files, effort, 2, (2, 3), journal, watch.report, watch.sleep, 0.0)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty one."""
    return Journal.new(tmp_path / "journal.jsonl", "a test")


def rounds_of(value: Callable[[int, str], float]) -> Answer:
    """Answers in which the timings of a file in a round are `value(round, file)`."""
    done: Counter[str] = Counter()

    def answer(_: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        yield start()
        for file in files:
            yield visit(file, value(done[file], file), value(done[file], file))
            done[file] += 1

    return answer


def test_timings_of_all_rounds_are_kept_by_file(journal: Journal) -> None:
    """Warm-ups are kept apart; the environment is the device's."""
    found = session(Board(rounds_of(lambda n, file: 10.0 * n + FILES.index(file) + 1)), journal).measure()
    assert found == {
        name: Measurement(
            latencies_us=tuple(10.0 * n + k for n in range(3) for _ in range(2)),
            warmups_us=(1e6,) * 3,
            environment=ENVIRONMENT,
        )
        for k, name in enumerate(FILES, start=1)
    }


def test_layers_take_turns_in_an_order_of_each_round(journal: Journal) -> None:
    """Every round visits every file once; the plan says how."""
    board = Board(rounds_of(lambda *_: 1.0))
    session(board, journal).measure()
    assert [sorted(files) for files in board.visits] == [sorted(FILES)] * 3
    assert len({tuple(files) for files in board.visits}) > 1
    for settings in board.settings:
        assert (settings["threads"], settings["cores"], settings["warmups"], settings["runs"]) == ("2", "2,3", "1", "2")


def test_layers_that_scatter_are_redone(journal: Journal) -> None:
    """Only they, and only until they are steady or the rounds are over."""
    effort = EFFORT._replace(redo_rounds=20)
    noisy = {0: 1.0, 1: 2.0, 2: 3.0}
    board = Board(rounds_of(lambda n, file: noisy.get(n, 2.0) if file == "b.tflite" else 1.0))
    found = session(board, journal, effort).measure()
    extra = board.visits[3:]
    assert 0 < len(extra) < 20
    assert extra == [["b.tflite"]] * len(extra)
    assert found["b.tflite"].variation <= 0.05
    assert len(found["a.tflite"].latencies_us) == 6


def test_a_lost_connection_costs_the_measurement_under_way(journal: Journal) -> None:
    """It waits longer each time in vain, and goes on where it was; what was measured is not measured again."""
    calls = 0

    def answer(_: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        nonlocal calls
        calls += 1
        yield start()
        if calls in (2, 3):
            raise TransientDeviceError("the cable was pulled.")
        yield visit(files[0], 1.0)
        if len(files) > 1:
            raise TransientDeviceError("the cable was pulled.")

    watch = Watch()
    found = session(Board(answer), journal, EFFORT._replace(rounds=1), watch).measure()
    assert all(len(each.latencies_us) == 1 for each in found.values())
    assert watch.waited == [1.0, 5.0, 20.0, 1.0]


def test_a_device_that_stays_away_stops_it_and_names_resume(journal: Journal) -> None:
    """After several tries in vain the error says how to go on; the journal holds what there was."""

    def answer(_: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        yield start()
        if len(files) == 3:
            yield visit(files[0], 1.0)
        raise TransientDeviceError("no route to host.")

    with pytest.raises(TransientDeviceError, match=r"no route to host\..*--resume"):
        session(Board(answer), journal).measure()
    again = Journal.resume(journal.path, "a test")
    assert len(again.visits) == 1
    board = Board(rounds_of(lambda *_: 1.0))
    session(board, again).measure()
    assert sum(map(len, board.visits)) == 3 * 3 - 1


def test_a_stable_error_is_not_tried_again(journal: Journal) -> None:
    """It ends at once, with the target's own words."""
    calls = []

    def answer(_: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        calls.append(files)
        yield start()
        raise StableDeviceError("no LiteRT runtime found. Install one: pip install ai-edge-litert")

    with pytest.raises(StableDeviceError, match="pip install"):
        session(Board(answer), journal).measure()
    assert len(calls) == 1


def test_an_agent_that_ends_early_gives_no_timings(journal: Journal) -> None:
    """Nothing is made up for a layer that was not measured."""
    with pytest.raises(StableDeviceError, match=r"before it had measured every layer; try again\.$"):
        session(Board(lambda *_: iter([start()])), journal).measure()


def test_every_failure_of_the_device_names_resume_once_something_is_kept(journal: Journal) -> None:
    """Who follows the error does not lose what was measured."""

    def answer(*_: object) -> Iterator[Start | Visit]:
        yield start()
        yield visit(FILES[0], 1.0)

    board = Board(answer)
    with pytest.raises(StableDeviceError, match=r"1 measurements are kept: .*--resume\.$"):
        session(board, journal).measure()


def test_the_load_is_that_before_the_tool_worked(journal: Journal) -> None:
    """What an agent finds later is the tool's own; a device that does not tell has none."""
    board = Board(rounds_of(lambda *_: 1.0))
    board.load_average = 0.25
    busy = session(board, journal)
    busy.load_average = load_average(board)
    busy.measure()
    assert {each.environment.load_average for each in journal.starts} == {0.25}

    def fail(*_: object) -> Iterator[str]:
        raise StableDeviceError("cat: not found")

    board.run = fail  # type: ignore[assignment,method-assign]
    assert load_average(board) is None


def test_a_hot_device_cools_down_before_the_next_round(journal: Journal) -> None:
    """When it is ten degrees hotter than at first it waits, and says so."""
    heat = iter([40.0, 45.0, 49.0, 51.0, 52.0, 41.0, 41.0, 42.0, 43.0])

    def answer(_: dict[str, str], files: list[str]) -> Iterator[Start | Visit]:
        yield start()
        for file in files:
            yield visit(file, 1.0, temperature_c=next(heat))

    watch = Watch()
    effort = EFFORT._replace(rounds=3)
    session(Board(answer), journal, effort, watch).measure()
    assert watch.waited == []
    heat = iter([40.0, 45.0, 51.0, 41.0, 41.0, 42.0, 43.0, 44.0, 45.0])
    hot = Journal.new(journal.path, "a test")
    session(Board(answer), hot, effort, watch).measure()
    assert watch.waited == [COOL_DOWN_SECONDS]
    assert ("cooling down", 0, 1) in watch.seen


def remembering(*, until: int = 99, failure: Exception | None = None) -> Answer:
    """Answers to plans for timings and for peaks; the number of peaks that can be had."""
    told: list[str] = []

    def answer(settings: dict[str, str], files: list[str]) -> Iterator[Start | Visit | Peak]:
        yield start()
        yield from (visit(file, 1.0) for file in files)
        if name := settings.get("peak"):
            told.append(name)
            if len(told) <= until:
                yield peak(name, 1_000_000 * (1 + FILES.index(name)))
            elif failure:
                raise failure

    return answer


def test_each_file_tells_its_peak_in_a_process_of_its_own(journal: Journal) -> None:
    """After the timings, on the same threads and cores."""
    board = Board(remembering())
    session(board, journal, EFFORT._replace(rounds=1, peaks=True)).measure()
    assert [settings.get("peak") for settings in board.settings] == [None, *FILES]
    assert board.visits[1:] == [[], [], []]
    assert {(each["threads"], each["cores"]) for each in board.settings} == {("2", "2,3")}
    assert journal.peaks == {"a.tflite": 1_000_000, "b.tflite": 2_000_000, "c.tflite": 3_000_000}


def test_without_the_effort_no_peak_is_measured(journal: Journal) -> None:
    """A quick profile counts memory from shapes."""
    board = Board(remembering())
    session(board, journal).measure()
    assert not any("peak" in settings for settings in board.settings)
    assert not journal.peaks


def test_peaks_are_not_measured_again_after_a_lost_connection(journal: Journal) -> None:
    """It is tried again from the file on that was under way."""
    board = Board(remembering(until=1, failure=TransientDeviceError("the cable was pulled.")))
    effort = EFFORT._replace(rounds=1, peaks=True)
    with pytest.raises(TransientDeviceError, match="--resume"):
        session(board, journal, effort).measure()
    again, board = Journal.resume(journal.path, "a test"), Board(remembering())
    session(board, again, effort).measure()
    assert [settings.get("peak") for settings in board.settings] == ["b.tflite", "c.tflite"]
    assert set(again.peaks) == set(FILES)


@pytest.mark.parametrize("failure", [None, StableDeviceError("this program tells no memory.")])
def test_an_agent_that_tells_no_peak_still_gives_timings(journal: Journal, failure: Exception | None) -> None:
    """It is asked once, not for every file; its reason is kept for people."""
    board = Board(remembering(until=0, failure=failure))
    measuring = session(board, journal, EFFORT._replace(rounds=1, peaks=True))
    assert set(measuring.measure()) == set(FILES)
    assert [settings.get("peak") for settings in board.settings] == [None, FILES[0]]
    assert not journal.peaks
    assert measuring.untold == (str(failure) if failure else "")


def test_progress_counts_visits(journal: Journal) -> None:
    """From none to all."""
    watch = Watch()
    session(Board(rounds_of(lambda *_: 1.0)), journal, watch=watch).measure()
    measuring = [(done, total) for what, done, total in watch.seen if what == "measuring"]
    assert measuring[0] == (0, 9)
    assert measuring[-1] == (9, 9)
    assert measuring == sorted(measuring)
