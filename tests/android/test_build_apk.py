"""What build_apk.py does by itself: refusals in one line, and an APK that is the same whenever it is joined.

What it makes of the real app is test_apk.py's.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from android_demo import build_apk

JAVACPP = "org/bytedeco/javacpp/properties"


def write_zip(path: Path, **files: str) -> Path:
    """A zip of small files, `__` in a keyword standing for a slash, dated now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as whole:
        for name, content in files.items():
            whole.writestr(name.replace("__", "/").replace("_DOT_", "."), content)
    return path


@pytest.fixture
def dex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dex, with everything beside it that Maven gathers, for two ABIs."""
    parts = tmp_path / "apk"
    write_zip(tmp_path / "resources.ap_", AndroidManifest_DOT_xml="manifest", resources_DOT_arsc="table")
    names = ("generic", *build_apk.PLATFORMS.values(), "windows-x86")
    write_zip(parts / "classes" / "javacpp-1.jar", **{f"{JAVACPP}/{name}.properties": name for name in names})
    for abi, platform in build_apk.PLATFORMS.items():
        write_zip(parts / "natives" / f"lib-{platform}.jar", **{f"lib/{abi}/libone.so": abi, "META-INF/notes": "x"})
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    for name, place in (("TARGET", tmp_path), ("PARTS", parts), ("BUNDLE", bundle)):
        monkeypatch.setattr(build_apk, name, place)
    return write_zip(tmp_path / "dex.zip", classes_DOT_dex="dex")


def test_an_apk_holds_the_parts_of_its_abis_alone(dex: Path, tmp_path: Path) -> None:
    """Manifest, classes and bundle are in every APK; of native libraries and their names those of its ABIs."""
    shared = {"AndroidManifest.xml", "resources.arsc", "classes.dex", "assets/bundle/manifest.json"}
    for abis in (("x86_64",), ("arm64-v8a", "x86_64")):
        path = tmp_path / "made.apk"
        build_apk.join(dex, abis, path)
        with zipfile.ZipFile(path) as whole:
            assert set(whole.namelist()) == {
                *shared,
                *(f"lib/{abi}/libone.so" for abi in abis),
                *(f"{JAVACPP}/{name}.properties" for name in ("generic", *(build_apk.PLATFORMS[abi] for abi in abis))),
            }
            assert whole.getinfo("resources.arsc").compress_type == zipfile.ZIP_STORED


def test_the_same_parts_give_the_same_bytes(dex: Path, tmp_path: Path) -> None:
    """Neither the hour nor the age of a part is in an APK."""
    one, other = tmp_path / "one.apk", tmp_path / "other.apk"
    build_apk.join(dex, build_apk.PLATFORMS, one)
    write_zip(dex, classes_DOT_dex="dex")
    build_apk.join(dex, build_apk.PLATFORMS, other)
    assert one.read_bytes() == other.read_bytes()


def test_an_app_without_a_bundle_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a bundle in the assets it says how to put one in, before anything is compiled."""
    monkeypatch.setattr(build_apk, "BUNDLE", tmp_path / "bundle")
    with pytest.raises(SystemExit, match=r"holds no bundle\. Put one in: python -m toolkit\.export .*--android"):
        build_apk.main()


def test_a_missing_or_failing_program_ends_it_in_one_line() -> None:
    """A program that is not installed is named with what installs it; one that fails is named with its exit code."""
    with pytest.raises(SystemExit, match=r"found no no-such-program\. Install it: scripts/install-android-packages"):
        build_apk.run(["no-such-program"])
    with pytest.raises(SystemExit, match=r"^false failed with exit code 1\.$"):
        build_apk.run(["false"])
