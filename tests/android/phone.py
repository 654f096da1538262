"""A phone for tests: the real adb client and server, the device's side of the protocol, and an `am` that starts the
app's own benchmark on a JVM, with the classes and the runtime that the app ships.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from android_demo import build_apk
from tests.targets.adbd import FakeAdbd, adb_device
from tests.targets.login import write_login

MAIN = "org.aectoolkit.tflite.BenchmarkMain"

# What it takes of Android's own: start -W -S -n COMPONENT --es NAME VALUE..., force-stop PACKAGE
_AM = """#!/bin/sh
printf '%s\\0' "$*" >>{log}
[ -e {installed} ] || {{
    echo "Error type 3"
    echo "Error: Activity class {{org.aectoolkit.demo/.BenchmarkActivity}} does not exist."
    exit 0
}}
[ "$1" != force-stop ] || {{
    kill "$(cat {folder}/pid)"
    exit
}}
while [ $# -gt 0 ]; do
    case $1 in
    --es) case $2 in plan) plan=$3 ;; name) name=$3 ;; esac; shift 2 ;;
    esac
    shift
done
mkdir -p {results}
out={results}/$name.jsonl
java -XX:+UseSerialGC -cp {class_path} {main} out="$out" plan="$plan" </dev/null >{folder}/said 2>&1 3>&- &
echo $! >{folder}/pid
echo "Status: ok"
"""
_PIDOF = """#!/bin/sh
[ "$1" = org.aectoolkit.demo ] && kill -0 "$(cat {folder}/pid)" 2>/dev/null && cat {folder}/pid
"""


@dataclass(frozen=True)
class Phone:
    """The device, and what a test may do to it."""

    adbd: FakeAdbd
    folder: Path

    @property
    def target(self) -> str:
        """As people type it."""
        return f"adb://{self.adbd.address}"

    @property
    def results(self) -> Path:
        """Where the app writes."""
        return self.folder / "sdcard" / "Android" / "data" / "org.aectoolkit.demo" / "files" / "benchmark"

    def uninstall(self) -> None:
        """Take the app away."""
        (self.folder / "installed").unlink()

    def started(self) -> list[str]:
        """What `am start` was told each time; a path in it may have lines of its own."""
        told = (self.folder / "log").read_text().split("\0")
        return [words for words in told if words.startswith("start ")]

    def runs(self) -> bool:
        """Whether the app does."""
        return bool(psutil.pid_exists(int((self.folder / "pid").read_text())))


@contextmanager
def phone(folder: Path) -> Iterator[Phone]:
    """A phone that has the app; its files are in `folder`."""
    parts = build_apk.PARTS
    jars = sorted([*(parts / "classes").glob("*.jar"), *(parts / "jvm").glob("*.jar")])
    if not jars:
        pytest.fail(f"{parts} holds no classes. Run these tests with: make test-android", pytrace=False)
    compiled = [
        build_apk.ROOT / module / "target" / each
        for module in ("core", "tflite")
        for each in ("classes", "test-classes")
    ]
    programs = folder / "programs"
    programs.mkdir()
    words = {
        "folder": folder,
        "log": folder / "log",
        "installed": folder / "installed",
        "results": folder / "sdcard/Android/data/org.aectoolkit.demo/files/benchmark",
        "class_path": ":".join(map(str, [*compiled, *jars])),
        "main": MAIN,
    }
    quoted = {name: shlex.quote(str(word)) for name, word in words.items()}
    for name, text in {"am": _AM, "pidof": _PIDOF}.items():
        (programs / name).write_text(text.format(**quoted))
        (programs / name).chmod(0o755)
    (folder / "installed").touch()
    shell = f"env EXTERNAL_STORAGE={shlex.quote(str(folder / 'sdcard'))} PATH={programs}:$PATH mksh"
    with adb_device(write_login(folder, shell), "Phone") as adbd:
        yield Phone(adbd, folder)
