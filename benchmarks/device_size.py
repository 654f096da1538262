"""How much a board installs: the base package and the extra `device`, as locked, for 64-bit ARM and x86-64 Linux.

Wheels are installed for each machine into a folder that is thrown away, without bytecode, as the README tells it
(`pip install --no-compile`); with every module compiled the same files are larger, which is printed beside it.
Run: python -m benchmarks.device_size [--quick]   (needs the package registry or pip's cache)
"""

from __future__ import annotations

import argparse
import compileall
import json
import subprocess
import sys
import tempfile
from pathlib import Path

GOAL_MB = 150
ROOT = Path(__file__).parent.parent
MACHINES = ("aarch64", "x86_64")
C_LIBRARIES = ("2_28", "2_27", "2_26", "2_24", "2_17")
"""Versions of glibc that a board's wheels may ask for: Debian 12, a Raspberry Pi's system, has 2.36."""


def install(machine: str, folder: Path) -> None:
    """Install what such a board installs, and the toolkit itself, into a folder, with pip as on the board."""
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile"]
    lock = ["--require-hashes", "--requirement", str(ROOT / "requirements" / "device.txt")]
    platforms = [f"--platform=manylinux_{version}_{machine}" for version in C_LIBRARIES]
    of_machine = ["--only-binary=:all:", "--python-version=3.11", *platforms, f"--platform=manylinux2014_{machine}"]
    subprocess.run([*pip, "--target", str(folder), *of_machine, *lock], check=True)
    subprocess.run([*pip, "--target", str(folder), "--no-deps", str(ROOT)], check=True)


def size_mb(folder: Path) -> float:
    """Sum of the sizes of the files below a folder, in megabytes of 10^6 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """Measure, print a table, and the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the size with bytecode")
    quick = parser.parse_args().quick

    detail: dict[str, float] = {}
    for machine in MACHINES:
        with tempfile.TemporaryDirectory() as folder:
            install(machine, Path(folder))
            detail[f"{machine}_mb"] = round(size_mb(Path(folder)), 1)
            if not quick:
                compileall.compile_dir(folder, quiet=2)
                detail[f"{machine}_with_bytecode_mb"] = round(size_mb(Path(folder)), 1)
    for name, megabytes in detail.items():
        print(f"{name.removesuffix('_mb').replace('_', ' '):<26} {megabytes:6.1f} MB")
    figure = detail["aarch64_mb"]
    result = {"name": "device_size", "figure": figure, "unit": "MB", "goal": GOAL_MB}
    print(json.dumps({**result, "holds": figure < GOAL_MB, "detail": detail}))


if __name__ == "__main__":
    main()
