"""`ShellTarget`: any device that has a POSIX shell and a way to it, which is a `Connection` (local, ssh, adb).

    host                                     device
    keeper's stdin, held open, a beat -----> sh: makes a folder, names it, removes it when stdin ends or is silent
    tar of the files ----------------------> sh: tar -x
    job's stdin, held open ----------------> sh: runs the command, kills it when stdin ends
    lines <--------------------------------- its stdout

The end of stdin reaches a device when a workplace is left, when the host process is killed, and when the connection is
closed. A cable that is pulled closes nothing at first: then the beat is missing. Scripts are constant; whatever varies
is an argument. Proved by tests/targets/test_targets.py.
"""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from toolkit.specs.errors import DeviceError, StableDeviceError, TransientDeviceError
from toolkit.targets.base import LEAVE
from toolkit.targets.elf import architecture, built_for
from toolkit.targets.job import Connection, Job

LEASE_S = 30
"""A device that has heard nothing for so long ends what runs."""
_BEAT_S = 8.0

_MACHINE = """
machine=$(uname -m)
# A 32-bit system on a 64-bit kernel, as on many a Raspberry Pi, runs 32-bit programs alone.
[ "$(getconf LONG_BIT 2>/dev/null)" != 32 ] || case $machine in aarch64) machine=armv7l ;; x86_64) machine=i686 ;; esac
printf '%s\\n' "$machine"
"""

# The file .aec-toolkit, made before anything else, marks a folder as ours and holds the number of what runs in it.
# A folder of another boot was left by a device that lost its power. One without the mark goes only if it is empty.
_KEEP = (
    (
        _MACHINE
        + """
trap : HUP INT TERM
boot=$(cut -c 1-8 /proc/sys/kernel/random/boot_id 2>/dev/null)
folder=
for parent in "${TMPDIR:-/var/tmp}" /data/local/tmp /var/tmp /tmp; do
    for old in "$parent"/aec-toolkit-__BOOT__-????????; do
        case $old in */aec-toolkit-"$boot"-*) continue ;; esac
        if [ -e "$old"/.aec-toolkit ]; then rm -rf "$old"; else rmdir "$old" 2>/dev/null; fi
    done
    folder=$(mktemp -d "$parent/aec-toolkit-$boot-XXXXXXXX" 2>/dev/null) && break
done
[ "$folder" ] || {
    echo "no folder can be made in ${TMPDIR:-/var/tmp}, /var/tmp or /tmp. Make room there, or set TMPDIR" >&2
    exit 73
}
true >"$folder"/.aec-toolkit
printf '%s\\n' "$folder"
if command -v timeout >/dev/null; then
    while [ "$(timeout __LEASE__ dd bs=1 count=1 2>/dev/null)" ]; do :; done
else
    cat >/dev/null
fi
for job in $(cat "$folder"/.aec-toolkit 2>/dev/null); do
    kill -9 -$job || kill -9 $job
done 2>/dev/null
[ ! -e "$folder"/__LEAVE__ ] || (cd "$folder" && sh ./__LEAVE__) </dev/null >/dev/null 2>&1
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
"""
    )
    .replace("__BOOT__", "[0-9a-f]" * 8)
    .replace("__LEASE__", str(LEASE_S))
    .replace("__LEAVE__", LEAVE)
)

# ssh hands on the user's language, and what tar says is looked for words.
_BRING = """
export LC_ALL=C
cd "$1" || exit
tar -xof -
exit $?
"""

# setsid, where it is there, gives the command a process group, so that what it started ends with it. `read` returns at
# the end of stdin, for nothing is ever written to it.
_RUN = """
cd "$1" || exit
shift
command -v "$1" >/dev/null || { printf '%s: not found\\n' "$1" >&2; exit 127; }
exec 3<&0 </dev/null
$(command -v setsid) "$@" 3<&- &
child=$!
echo $child >.aec-toolkit
{ read -r _; kill -9 -$child || kill -9 $child; } <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait $child
code=$?
true 2>/dev/null >.aec-toolkit
{ kill -9 -$child $watch; wait $watch; } 2>/dev/null
exit $code
"""

_NO_ROOM = ("No space left", "File too large", "File size limit", "Disk quota", "quota exceeded")


@dataclass(frozen=True)
class ShellTarget:
    """A target whose device has a POSIX shell.

    Args:
        name: as people type it.
        python: of the device: a name that its PATH has, or a full path.
        connect: opens a connection to it.
    """

    name: str
    python: str
    connect: Callable[[], AbstractContextManager[Connection]]

    def machine(self) -> str:
        """The processor's architecture; see `Target.machine`."""
        with self.connect() as connection, Job(connection, _MACHINE) as job:
            for line in job.lines():
                return line
            raise _failure(self.name, job)

    @contextmanager
    def workplace(self) -> Iterator[ShellWorkplace]:
        """A new folder there; see `Target.workplace`."""
        with self.connect() as connection, Job(connection, _KEEP) as keeper:
            said = keeper.lines()
            machine, folder = next(said, ""), next(said, "")
            if not folder:
                raise _failure(self.name, keeper)
            with _beating(keeper):
                yield ShellWorkplace(self.name, self.python, machine, folder, connection, keeper)


@contextmanager
def _beating(keeper: Job) -> Iterator[None]:
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_S) and keeper.say(b"."):
            pass

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class ShellWorkplace:
    """A folder on the device, there as long as its keeper runs; see `Workplace`."""

    name: str
    python: str
    machine: str
    folder: str
    connection: Connection
    keeper: Job

    def bring(self, files: Mapping[str, Path]) -> None:
        """Copy files into the folder; see `Workplace.bring`."""
        for name, path in files.items():
            if built_for(path) not in (None, architecture(self.machine)):
                raise StableDeviceError(
                    f"{name} is built for {built_for(path)}, {self.name} is {self.machine}. Build it for the device."
                )
        with Job(self.connection, _BRING, self.folder) as job:
            with suppress(BrokenPipeError), job.stdin() as stdin, tarfile.open(fileobj=stdin, mode="w|") as tar:
                for name, path in files.items():
                    with path.open("rb") as file:
                        member = tarfile.TarInfo(name)
                        status = path.stat()
                        member.size, member.mode, member.mtime = status.st_size, status.st_mode & 0o777, status.st_mtime
                        tar.addfile(member, file)
            if job.code() == 0:
                return
            if any(reason in job.talk() for reason in _NO_ROOM):
                size = sum(path.stat().st_size for path in files.values())
                raise StableDeviceError(
                    f"{self.name} has no room for {size / 1e6:.1f} MB in {self.folder}. "
                    "Free some, or set TMPDIR there to a folder that has."
                )
            self._fail(job)

    def run(self, command: Sequence[str]) -> Generator[str, None, None]:
        """Run a command in the folder; see `Workplace.run`."""
        words = [self.python if word == "{python}" else word for word in command]
        with Job(self.connection, _RUN, self.folder, *words) as job:
            yield from job.lines()
            code = job.code()
            if code == 0:
                return
            if code == 127 and "{python}" in command:
                raise StableDeviceError(
                    f"{self.name} has no {self.python}. Install Python 3.9 or newer there, name one with its "
                    "full path (--python /path/to/python3), or take an agent that needs none."
                )
            if code in (126, 127) and words[0].startswith("./"):
                raise StableDeviceError(
                    f"{self.name} ({self.machine}) cannot start {words[0]}: {job.last_words()}. It is built for "
                    "another system than the device's, or no program may run in its folder: set TMPDIR there."
                )
            self._fail(job)

    def _fail(self, job: Job) -> NoReturn:
        raise _lost(self.name) if self.keeper.has_ended() else _failure(self.name, job)


def _failure(name: str, job: Job) -> DeviceError:
    """Why a job ended badly, in one line."""
    code = job.code()
    if code is None and job.is_answered():
        said = job.last_words().rstrip(".")
        return StableDeviceError(
            f"{name}: its login shell runs no commands: {said}. Log in as somebody else, or give the account a shell."
        )
    if code is None:
        return (None if job.begun else job.connection.fault(job.talk())) or _lost(name)
    if code == 128 + 9:
        return StableDeviceError(f"{name}: ended by signal 9, as when memory runs out. Close other programs there.")
    if 128 < code <= 128 + 64:
        return StableDeviceError(f"{name}: ended by signal {code - 128} ({job.last_words()}).")
    return StableDeviceError(f"{name}: {job.last_words()}")


def _lost(name: str) -> DeviceError:
    return TransientDeviceError(f"{name}: the connection was lost. Try again.")
