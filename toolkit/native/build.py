"""`native_agent`: the runner of one runtime for one architecture, built once and kept in the user's cache folder.

It is compiled from the C++ files beside this one against the libraries in the runtime's Python wheel, which need no
Python: those installed here, or the wheel of the locked version for another architecture, by name and hash. The
libraries lie beside the runner: 14.6 MB for ExecuTorch on x86-64 and 12.2 MB on aarch64, 8.1 and 6.1 MB for LiteRT.

A device needs a 64-bit Linux with a glibc no older than the compiler's (of Debian 12: 2.34), not Android: its libc is
another, and its own compiler, the NDK, brings no ExecuTorch and no LiteRT. There the official `benchmark_model` runs
TFLite files (`toolkit/native/benchmark_model.py`). Proved by tests/native/test_build.py.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from toolkit.lower.own_environment import Note, alone, cache_folder, last_line
from toolkit.specs.errors import StableDeviceError, UserError
from toolkit.specs.files import new_folder
from toolkit.specs.runtime import Runtime

_HERE = Path(__file__).parent
_RUNNER = "runner"
_SHARED = ("runner.cpp", "device.cpp", "device.h", "model.h")
_FLAGS = ("-std=c++17", "-O2", "-s", "-Wl,-rpath,$ORIGIN", "-Wl,-z,now", "-Wl,--no-as-needed")


@dataclass(frozen=True)
class _Wheel:
    """What the runner of one runtime takes from its wheel; paths are as they stand in there."""

    package: str
    source: str
    libraries: tuple[str, ...]
    includes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


_WHEELS: dict[Runtime, _Wheel] = {
    "executorch": _Wheel(
        "executorch",
        "executorch.cpp",
        tuple(
            f"executorch/lib/libexecutorch{part}.so"
            for part in ("", "_threadpool", "_backend_xnnpack", "_kernels_optimized", "_kernels_quantized")
        ),
        ("executorch/include", "executorch/include/executorch/runtime/core/portable_type/c10"),
        # The one is what the wheel's own CMake file sets; inputs are written through a member that is called old.
        ("-DC10_USING_CUSTOM_GENERATED_MACROS", "-Wno-deprecated-declarations"),
    ),
    "tflite": _Wheel("ai-edge-litert", "litert.cpp", ("ai_edge_litert/libLiteRt.so",)),
}
_DEBIAN_PACKAGES = {"aarch64": "g++-aarch64-linux-gnu", "x86_64": "g++-x86-64-linux-gnu"}
"""Cross compilers, by the architectures that wheels are made for."""


@dataclass(frozen=True)
class NativeAgent:
    """A runner and the libraries to bring with it; an `Agent` of `toolkit/targets/base.py`."""

    files: Mapping[str, Path]

    def command(self, plan: str) -> tuple[str, ...]:
        """The command that carries out a plan, given the name of its file."""
        return (f"./{_RUNNER}", plan)


def native_agent(runtime: Runtime, machine: str, note: Note, cache: Path | None = None) -> NativeAgent:
    """The runner of a runtime for an architecture; built where that has not been done.

    Args:
        runtime: `executorch` or `tflite`.
        machine: as `uname -m` says it on the device.
        note: told before it is built.
        cache: folder to keep it in; the user's, if none is named.

    Raises:
        UserError: there is no native runner for the runtime, no compiler, or the wheel cannot be had or used.
        StableDeviceError: runtimes have no libraries for that architecture.
    """
    if runtime not in _WHEELS:
        raise UserError(f"there is no native runner for {runtime}; known: {', '.join(_WHEELS)}.")
    if machine not in _DEBIAN_PACKAGES:
        raise StableDeviceError(
            f"the device is {machine}, and {_WHEELS[runtime].package} has libraries for "
            f"{' and '.join(_DEBIAN_PACKAGES)} alone. Put a 64-bit system on it{_or_python(_WHEELS[runtime])}."
        )
    wheel, compiler = _WHEELS[runtime], _compiler(machine)
    folder = (cache or cache_folder()) / f"runner-{runtime}-{machine}-{_digest(wheel, compiler)}"
    if not folder.exists():
        with alone(folder):
            if not folder.exists():
                note(f"building the native {runtime} runner for {machine} (once) in {folder}")
                with new_folder(folder) as made, _wheel_files(wheel, machine) as files:
                    _compile(wheel, files, compiler, made)
    return NativeAgent({path.name: path for path in sorted(folder.iterdir())})


def _compiler(machine: str) -> str:
    native = platform.system() == "Linux" and machine == platform.machine()
    names = ("g++", "c++") if native else (f"{machine}-linux-gnu-g++",)
    for name in names:
        if found := shutil.which(name):
            return found
    package = "g++" if native else _DEBIAN_PACKAGES[machine]
    raise UserError(
        f"the native runner is compiled for {machine} and no {names[0]} was found. Install it, on Debian and Ubuntu "
        f"with: apt install {package}"
    )


def _digest(wheel: _Wheel, compiler: str) -> str:
    """Of all that the runner's bytes depend on: sources, wheel, compiler, flags."""
    parts = [(_HERE / name).read_bytes() for name in (*_SHARED, wheel.source)]
    version = _run("the compiler does not run", [compiler, "--version"])
    parts += [text.encode() for text in (_locked(wheel.package), version, repr(wheel), repr(_FLAGS))]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _locked(package: str) -> str:
    """The lock's lines of one package: its version, and the hashes of its wheels for all platforms."""
    lock = (_HERE / "wheels.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{package}==.*?(?=^[a-z]|\Z)", lock, re.MULTILINE | re.DOTALL)
    if found is None:
        raise UserError(f"{_HERE / 'wheels.txt'} does not name {package}. Install the toolkit again.")
    return found[0]


def _version(wheel: _Wheel) -> str:
    return _locked(wheel.package).split()[0].partition("==")[2]


@contextmanager
def _wheel_files(wheel: _Wheel, machine: str) -> Iterator[Path]:
    """A folder with the wheel's files: where it is installed, or a temporary one where it was unpacked."""
    if platform.system() == "Linux" and machine == platform.machine():
        try:
            installed = metadata.distribution(wheel.package)
        except metadata.PackageNotFoundError:
            pass
        else:
            if installed.version == _version(wheel):
                yield Path(str(installed.locate_file("")))
                return
    with tempfile.TemporaryDirectory() as place:
        lock, unpacked = Path(place, "lock.txt"), Path(place, "wheel")
        lock.write_text(_locked(wheel.package), encoding="utf-8")
        what_failed = f"the wheel of {wheel.package} {_version(wheel)} for {machine} could not be fetched"
        _run(what_failed, [*_installer(machine), "--target", str(unpacked), "--requirement", str(lock)])
        yield unpacked


def _installer(machine: str) -> list[str]:
    locked = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", "3.11"]
    beside = str(Path(sys.executable).parent)
    if uv := shutil.which("uv", path=os.pathsep.join((beside, os.environ.get("PATH", os.defpath)))):
        return [uv, "pip", "install", *locked, "--python-platform", f"{machine}-manylinux_2_28"]
    platforms = [part for minor in (28, 27) for part in ("--platform", f"manylinux_2_{minor}_{machine}")]
    return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *locked, *platforms]


def _compile(wheel: _Wheel, files: Path, compiler: str, made: Path) -> None:
    libraries = [files / name for name in wheel.libraries]
    missing = [path.name for path in libraries if not path.is_file()]
    if missing:
        raise UserError(
            f"{wheel.package} {_version(wheel)} in {files} lacks {', '.join(missing)}. Install it "
            f"again{_or_python(wheel)}."
        )
    command = [compiler, *_FLAGS, *wheel.flags, f'-DRUNTIME_VERSION="{_version(wheel)}"']
    command += [part for name in wheel.includes for part in ("-isystem", str(files / name))]
    command += [str(_HERE / name) for name in (*_SHARED, wheel.source) if name.endswith(".cpp")]
    _run("the native runner could not be compiled", [*command, *map(str, libraries), "-o", str(made / _RUNNER)])
    for library in libraries:
        shutil.copy(library, made)


def _or_python(wheel: _Wheel) -> str:
    """The Python agent runs TFLite files alone."""
    return ", or measure with the device's Python" if wheel is _WHEELS["tflite"] else ""


def _run(what_failed: str, command: Sequence[str]) -> str:
    english = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=english, check=False)
    if done.returncode:
        talk = done.stderr or done.stdout
        faults = [line.strip() for line in talk.splitlines() if " error: " in line]
        raise UserError(f"{what_failed}: {faults[0] if faults else last_line(talk)}")
    return done.stdout
