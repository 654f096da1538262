"""What an installed toolkit holds and needs: the wheel, the extras, the locks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
MAX_WHEEL_BYTES = 8_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def files_below(folder: str, *, inside: str = "") -> set[str]:
    """Names of the files below a folder of the checkout, as they are called below `inside`; no caches, none hidden."""
    names = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
    return {inside + str(name) for name in names if "__pycache__" not in name.parts and name.name[0] != "."}


def locked(lock: Path) -> dict[str, set[str]]:
    """Versions that a lock names for each package."""
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;]+)", lock.read_text(), flags=re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


def wanted(*extras: str) -> list[Requirement]:
    """The requirements of the project and these extras of it, the toolkit's own extras left out."""
    lines = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    requirements = [Requirement(line) for line in lines]
    return [requirement for requirement in requirements if requirement.name != PROJECT["name"]]


def test_wheel_holds_the_package_its_data_and_the_devices(wheel: Path) -> None:
    """The wheel holds the code, the default Run, the recipes and `devices/`, and nothing else of the checkout."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        infos = {name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name}
    assert names == files_below("toolkit") | files_below("devices", inside="toolkit/")
    assert "toolkit/runs/default/weights.safetensors" in names
    assert "toolkit/devices/rpi4.toml" in names
    assert "licenses/LICENSE" in infos
    assert wheel.stat().st_size < MAX_WHEEL_BYTES


def test_installed_wheel_searches_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    """From a wheel, in an empty folder, the default Run is searched for a device that the wheel describes."""
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    done = subprocess.run(
        [sys.executable, "-m", "toolkit", "search", "--device", "rpi4", "--json"],
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"subnet"' in done.stdout


def test_a_board_installs_no_training_framework() -> None:
    """What `device` locks holds a runtime and none of the big frameworks."""
    packages = locked(ROOT / "requirements" / "device.txt")
    assert "ai-edge-litert" in packages
    assert not packages.keys() & {"torch", "scipy", "scikit-learn", "librosa", "litert-torch", "executorch", "onnx"}


def test_devices_and_hosts_lock_the_same_versions() -> None:
    """A package that two locks name has the same versions in both."""
    everything = locked(ROOT / "requirements" / "all.txt")
    for lock in LOCKS:
        shared = {name: versions for name, versions in locked(lock).items() if name in everything}
        assert shared == {name: everything[name] for name in shared}, lock.name


@pytest.mark.parametrize(
    ("name", "extras"), [("all", ("train", "export", "device", "dev")), ("device", ("device",))], ids=["all", "device"]
)
def test_lock_is_of_this_pyproject(name: str, extras: tuple[str, ...]) -> None:
    """Every requirement of pyproject.toml is locked at a version that it accepts; if not: make lock."""
    versions = locked(ROOT / "requirements" / f"{name}.txt")
    for requirement in wanted(*extras):
        assert all(map(requirement.specifier.contains, versions[canonicalize_name(requirement.name)])), requirement


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_names_hashes_and_no_address(lock: Path) -> None:
    """Each locked version is followed by its hashes; no line names an address, an option or a folder."""
    text = lock.read_text()
    assert locked(lock)
    for line in re.sub(r" \\\n +--hash=", " --hash=", text).splitlines():
        if not line.lstrip().startswith("#"):
            assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; [^-]*[^ ])?( --hash=sha256:[0-9a-f]{64})+", line), line
    assert not re.search(r"://|file:|@ ", text)
