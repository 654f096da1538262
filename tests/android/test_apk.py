"""The APKs that `make android` made: signed, small, aligned, with a whole bundle inside, and classes that still work
after R8 shrank them.
"""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from android_demo import build_apk
from toolkit.specs.bundle import open_bundle

ABIS = {"arm64-v8a": ("arm64-v8a",), "x86_64": ("x86_64",), "universal": ("arm64-v8a", "x86_64")}
MACHINES = {"arm64-v8a": "AArch64", "x86_64": "Advanced Micro Devices X86-64"}
LIBRARIES = {"libjnijavacpp.so", "libjnitensorflowlite.so"}
LARGEST_BYTES = {"arm64-v8a": 8_000_000, "x86_64": 8_000_000, "universal": 12_000_000}
PAGE_BYTES = 16_384
MAIN = "org.aectoolkit.tflite.ListenMainKt"
FIXTURES = build_apk.ROOT / "target" / "fixtures"

pytestmark = pytest.mark.android


def output_of(*command: str | Path) -> str:
    """What a program prints; it must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(params=ABIS)
def name(request: pytest.FixtureRequest) -> str:
    """Of each APK."""
    return str(request.param)


@pytest.fixture
def apk(name: str) -> Path:
    """The APK of that name."""
    path = build_apk.apk(name)
    if not path.is_file():
        pytest.fail(f"{path} is missing. Run these tests with: make test-android", pytrace=False)
    return path


@pytest.fixture
def whole(apk: Path) -> Iterator[zipfile.ZipFile]:
    """The APK as the zip that it is."""
    with zipfile.ZipFile(apk) as opened:
        yield opened


def test_it_is_signed_in_schemes_2_and_3(apk: Path) -> None:
    """Every Android from the oldest supported on accepts the signature, by schemes 2 and 3."""
    said = output_of("apksigner", "verify", "--verbose", apk)
    verified = dict(re.findall(r"^Verified using (v\d) scheme .*: (true|false)$", said, re.MULTILINE))
    assert "Verifies" in said.splitlines()
    assert (verified["v2"], verified["v3"]) == ("true", "true")


def test_it_is_aligned(apk: Path) -> None:
    """What is stored uncompressed begins at a multiple of four bytes, so that Android can map it."""
    assert output_of("zipalign", "-c", "-v", "4", apk).count(" (BAD") == 0


def test_it_is_small(name: str, apk: Path) -> None:
    """An APK of one ABI is at most 8 MB, the universal one at most 12 MB."""
    assert apk.stat().st_size <= LARGEST_BYTES[name]


def test_it_asks_for_the_microphone_alone(apk: Path) -> None:
    """The app has no permission but to record: none for the internet."""
    said = output_of("aapt2", "dump", "permissions", apk)
    assert re.findall(r"^uses-permission: name='(.*)'$", said, re.MULTILINE) == ["android.permission.RECORD_AUDIO"]


def test_it_is_for_the_androids_that_the_pom_names(apk: Path) -> None:
    """Oldest and target SDK in the APK's manifest are those of the pom."""
    said = output_of("aapt2", "dump", "badging", apk)
    for line, prop in (("sdkVersion", "android.min.sdk"), ("targetSdkVersion", "android.target.sdk")):
        assert re.findall(rf"^{line}:'(\d+)'$", said, re.MULTILINE) == [build_apk.property_of_pom(prop)]


def test_its_native_libraries_fit_new_phones(name: str, whole: zipfile.ZipFile, tmp_path: Path) -> None:
    """Each ABI has the same libraries, built for it, aligned to pages of 16 KB and stored deflated."""
    libraries: dict[str, set[str]] = {}
    for entry in whole.infolist():
        if not entry.filename.startswith("lib/"):
            continue
        _, abi, library = entry.filename.split("/")
        libraries.setdefault(abi, set()).add(library)
        assert entry.compress_type == zipfile.ZIP_DEFLATED
        said = output_of("readelf", "--wide", "--file-header", "--segments", whole.extract(entry, tmp_path))
        assert re.findall(r"^ *Machine: +(.+)$", said, re.MULTILINE) == [MACHINES[abi]]
        segments = re.findall(r"^ *LOAD +(0x\w+) (0x\w+) .* (0x\w+)$", said, re.MULTILINE)
        assert segments
        for offset, address, alignment in (tuple(int(each, 16) for each in segment) for segment in segments):
            assert alignment % PAGE_BYTES == 0
            assert (address - offset) % PAGE_BYTES == 0
    assert libraries == dict.fromkeys(ABIS[name], LIBRARIES)


def test_android_unpacks_its_native_libraries(apk: Path) -> None:
    """The manifest says that they are to be unpacked, as deflated ones must be."""
    said = output_of("aapt2", "dump", "xmltree", "--file", "AndroidManifest.xml", apk)
    assert re.search(r"extractNativeLibs\(0x\w+\)=true$", said, re.MULTILINE)


def test_it_holds_a_whole_bundle_that_listens(whole: zipfile.ZipFile, tmp_path: Path) -> None:
    """The bundle in its assets is undamaged and holds the int8 `stream` file of TFLite."""
    whole.extractall(tmp_path, [entry for entry in whole.namelist() if entry.startswith("assets/bundle/")])
    manifest = open_bundle(tmp_path / "assets" / "bundle")
    assert manifest.find(mode="stream", precision="int8", runtime="tflite").name == "stream.int8.tflite"
    assert manifest.pick is not None
    assert manifest.pick.device == "pixel7"


def test_its_classes_are_shrunk(whole: zipfile.ZipFile) -> None:
    """One dex, with the app's activities in it, and without JavaCPP's generator, which no app runs."""
    assert [entry for entry in whole.namelist() if entry.endswith(".dex")] == ["classes.dex"]
    dex = whole.read("classes.dex")
    for activity in ("MainActivity", "BenchmarkActivity"):
        assert f"Lorg/aectoolkit/demo/{activity};".encode() in dex
    assert b"Lorg/bytedeco/javacpp/tools/Parser;" not in dex
    held = sum(jar.stat().st_size for jar in (build_apk.PARTS / "classes").glob("*.jar"))
    assert len(dex) < held / 2


def test_shrunk_classes_hear_what_python_hears(tmp_path: Path) -> None:
    """A bundle opened and a recording heard by classes that R8 shrank by the APK's own rules give Python's scores."""
    compiled = build_apk.ROOT / "tflite" / "target" / "test-classes"
    mains = sorted(compiled.rglob("ListenMain*.class"))
    assert mains, "make android compiles it"
    rules = tmp_path / "main.pro"
    rules.write_text(f"-keep class {MAIN} {{ public static void main(java.lang.String[]); }}\n")
    shrunk = tmp_path / "shrunk.jar"
    build_apk.shrink(shrunk, extra=mains, rules=[rules], classfile=True)
    with zipfile.ZipFile(next((build_apk.PARTS / "classes").glob("javacpp-*.jar"))) as javacpp:
        javacpp.extractall(tmp_path, [each for each in javacpp.namelist() if each.endswith(".properties")])
    natives = sorted((build_apk.PARTS / "jvm").glob("*.jar"))
    class_path = ":".join(map(str, (shrunk, tmp_path, *natives)))
    for precision, tolerance in (("fp32", 1e-4), ("int8", 0.05)):
        sound = FIXTURES / "listen" / "scene.wav"
        said = output_of("java", "-cp", class_path, MAIN, FIXTURES / "bundle", sound, precision)
        python = json.loads((FIXTURES / "listen" / f"scene.{precision}.json").read_text())
        heard = np.array([line.split() for line in said.splitlines() if "\t" not in line], np.float32)
        assert len(heard) >= python["heard_s"] / python["hop_s"]
        expected = np.fromfile(FIXTURES / "listen" / f"scene.{precision}.f32", "<f4").reshape(-1, heard.shape[1])
        np.testing.assert_allclose(heard, expected[: len(heard)], rtol=0, atol=tolerance)
        events = [line.split("\t") for line in said.splitlines() if "\t" in line]
        assert [label for label, *_ in events] == [event["label"] for event in python["events"]]
        for (_, start_s, end_s, _), event in zip(events, python["events"], strict=True):
            assert (float(start_s), float(end_s)) == pytest.approx((event["start_s"], event["end_s"]), abs=0.01)
