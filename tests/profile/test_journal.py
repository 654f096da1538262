"""What a device said is kept, line by line, through kill -9, full disks and changed minds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.limits import files_end_at
from tests.profile.boards import peak, start, visit
from toolkit.profile.journal import Journal, journals
from toolkit.specs.errors import MismatchError, UserError

QUESTION = "rpi4 over ssh, pack 0123"


def written(path: Path) -> Journal:
    """A journal of a start and three visits."""
    journal = Journal.new(path, QUESTION)
    with journal.open():
        journal.add(start())
        for file in ("a", "b", "a"):
            journal.add(visit(file, 1.5, 2.5))
    return journal


def test_what_was_added_comes_back(tmp_path: Path) -> None:
    """Resuming gives the same starts and visits, and goes on behind them."""
    before = written(tmp_path / "j.jsonl")
    again = Journal.resume(tmp_path / "j.jsonl", QUESTION)
    assert (again.starts, again.visits) == (before.starts, before.visits)
    with again.open():
        again.add(visit("b", 3.0))
    assert Journal.resume(tmp_path / "j.jsonl", QUESTION).counts() == {"a": 2, "b": 2}


def test_peaks_come_back_and_are_no_visits(tmp_path: Path) -> None:
    """A resumed profile knows which files have told theirs."""
    journal = written(tmp_path / "j.jsonl")
    with journal.open():
        journal.add(peak("a", 5_000_000))
        journal.add(peak("b", 6_000_000))
    again = Journal.resume(tmp_path / "j.jsonl", QUESTION)
    assert again.peaks == journal.peaks == {"a": 5_000_000, "b": 6_000_000}
    assert again.visits == journal.visits


@given(lost=st.integers(1, 2000))
def test_a_file_cut_anywhere_loses_the_line_that_was_cut_and_no_other(
    lost: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A power cut leaves any number of bytes: all whole lines are kept, and the next line is readable."""
    path = tmp_path_factory.mktemp("cut") / "j.jsonl"
    before = written(path)
    content = path.read_bytes()
    kept = content[: max(0, len(content) - lost)]
    path.write_bytes(kept)
    whole_lines = kept.count(b"\n")
    journal = Journal.resume(path, QUESTION)
    assert [*journal.starts, *journal.visits] == [*before.starts, *before.visits][: max(0, whole_lines - 1)]
    with journal.open():
        journal.add(visit("c", 9.0))
    assert Journal.resume(path, QUESTION).visits[-1].file == "c"


def test_each_line_is_on_disk_when_it_was_added(tmp_path: Path) -> None:
    """Another reader finds it at once, though the journal is still open."""
    journal = Journal.new(tmp_path / "j.jsonl", QUESTION)
    with journal.open():
        journal.add(visit("a", 1.0))
        assert Journal.resume(tmp_path / "j.jsonl", QUESTION).visits == journal.visits


def test_another_question_is_refused(tmp_path: Path) -> None:
    """A journal of another pack or device is not gone on with; both questions are named."""
    written(tmp_path / "j.jsonl")
    with pytest.raises(MismatchError, match=r"rpi4 over ssh, pack 0123.*rpi5.*Leave --resume out"):
        Journal.resume(tmp_path / "j.jsonl", "rpi5")
    assert not Journal.new(tmp_path / "j.jsonl", "rpi5").visits


@pytest.mark.parametrize("change", [{"runtime_version": "2.3.0"}, {"core_mask": "0x1"}, {"machine": "armv7l"}])
def test_measurements_of_two_environments_do_not_mix(tmp_path: Path, change: dict[str, str]) -> None:
    """After an upgrade on the device a resumed profile stops before anything is written, and names what changed."""
    journal = written(tmp_path / "j.jsonl")
    before = journal.path.read_bytes()
    assert journal.environment() == start().environment
    (name, value), *_ = change.items()
    with journal.open(), pytest.raises(MismatchError, match=rf"{name} .*{value}.*--resume"):
        journal.add(start(**change))
    assert journal.path.read_bytes() == before
    with journal.open():
        journal.add(start(governor="ondemand"))


def test_the_journals_of_a_command_are_dropped_before_it_and_go_when_it_is_done(tmp_path: Path) -> None:
    """Those of other devices stay; a command that fails keeps its own, and one that goes on finds them."""
    other = written(tmp_path / "rpi5.jsonl")
    left = written(tmp_path / "rpi4.jsonl")
    with suppress(KeyboardInterrupt), journals(tmp_path, "rpi4", ["rpi4.jsonl"], resume=False):
        assert not left.path.exists()
        written(left.path)
        raise KeyboardInterrupt
    with journals(tmp_path, "rpi4", ["rpi4.jsonl"], resume=True):
        assert len(Journal.resume(left.path, QUESTION).visits) == 3
    assert not left.path.exists()
    assert other.path.exists()


def test_two_commands_do_not_write_the_journals_of_a_device_at_once(tmp_path: Path) -> None:
    """The second is refused and harms nothing; another device's are free."""
    with journals(tmp_path, "rpi4", ["rpi4.jsonl"], resume=False):
        kept = written(tmp_path / "rpi4.jsonl")
        refused = pytest.raises(UserError, match=r"another command measures rpi4.*another --out")
        with refused, journals(tmp_path, "rpi4", ["rpi4.jsonl"], resume=False):
            pass
        assert kept.path.exists()
        with journals(tmp_path, "rpi5", ["rpi5.jsonl"], resume=False):
            pass


def test_a_broken_line_in_the_middle_is_one_error(tmp_path: Path) -> None:
    """Only the end of a file can have been cut; anything else is damage."""
    written(tmp_path / "j.jsonl")
    text = (tmp_path / "j.jsonl").read_text().splitlines()
    text[2] = text[2][:-5]
    (tmp_path / "j.jsonl").write_text("\n".join(text) + "\n")
    with pytest.raises(UserError, match=r"j\.jsonl.*Leave --resume out"):
        Journal.resume(tmp_path / "j.jsonl", QUESTION)


def test_bytes_that_are_no_text_are_one_error(tmp_path: Path) -> None:
    """What a power cut leaves may be anything: dropped at the end, refused before that."""
    journal = written(tmp_path / "j.jsonl")
    sound = journal.path.read_bytes()
    journal.path.write_bytes(sound + b"\x00\xff\xfe")
    assert Journal.resume(journal.path, QUESTION).visits == journal.visits
    journal.path.write_bytes(sound + b"\xff\xfe\n" + sound.splitlines()[-1] + b"\n")
    with pytest.raises(UserError, match=r"j\.jsonl is damaged at byte \d+\. Leave --resume out"):
        Journal.resume(journal.path, QUESTION)


def test_a_full_disk_keeps_what_was_written(tmp_path: Path) -> None:
    """The message counts what is kept and names --resume; with room again it goes on."""
    journal = written(tmp_path / "j.jsonl")
    full = pytest.raises(UserError, match=r"File too large\. 3 measurements are kept.*--resume")
    with journal.open(), files_end_at(journal.path.stat().st_size + 20), full:
        journal.add(visit("c", 1.0))
    again = Journal.resume(tmp_path / "j.jsonl", QUESTION)
    assert len(again.visits) == 3
    with again.open():
        again.add(visit("c", 1.0))
