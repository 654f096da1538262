"""`python android_demo/build_apk.py`: the app's APKs without Google's SDK, one for each ABI and one for both.

Maven lints, compiles, tests and gathers; then R8 shrinks the classes to a dex, aapt2's resources, native libraries and
assets join it, zipalign aligns, and apksigner signs with a debug key made on the spot. Needs what
scripts/install-android-packages installs and no Python package. Proved by tests/android/test_apk.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent
APP = ROOT / "app"
TARGET = APP / "target"
PARTS = TARGET / "apk"
"""Where Maven gathers what it resolved: classes, natives, tools."""
RULES = APP / "r8.pro"
BUNDLE = APP / "src" / "main" / "assets" / "bundle"

PLATFORMS = {"arm64-v8a": "android-arm64", "x86_64": "android-x86_64"}
"""The name of each ABI in JavaCPP's jars."""
DEBUG_KEY = "androiddebugkey"
DEBUG_PASSWORD = "android"  # noqa: S105 - of every Android debug key


def main() -> None:
    """Build every APK and say where it is."""
    if not (BUNDLE / "manifest.json").is_file():
        raise SystemExit(
            f"{BUNDLE} holds no bundle. Put one in: python -m toolkit.export --device pixel7 --android {ROOT.name}"
        )
    maven()
    dex = TARGET / "dex.zip"
    shrink(dex)
    key = debug_key()
    for name, abis in {**{abi: (abi,) for abi in PLATFORMS}, "universal": tuple(PLATFORMS)}.items():
        path = apk(name)
        unsigned = TARGET / f"unsigned-{name}.apk"
        join(dex, abis, unsigned)
        sign(unsigned, key, path)
        print(f"{path.relative_to(ROOT.parent)}  {path.stat().st_size / 1e6:.2f} MB")  # noqa: T201 - a verb of its own


def apk(name: str) -> Path:
    """Where the APK of an ABI is, or the `universal` one."""
    return TARGET / f"aec-demo-{name}.apk"


def maven() -> None:
    """Lint, compile, run the JVM tests, gather the parts; what an earlier build gathered is not taken for its own."""
    shutil.rmtree(PARTS, ignore_errors=True)
    run(["mvn", "--batch-mode", "--no-transfer-progress", "--file", ROOT / "pom.xml", "verify"])


def shrink(output: Path, *, extra: Sequence[Path] = (), rules: Sequence[Path] = (), classfile: bool = False) -> None:
    """Let R8 write the app's classes to a zip: a dex, or the same classes shrunk alike as class files for a JVM.

    Args:
        output: The zip.
        extra: More class files and jars to shrink with the app's.
        rules: More files of keep rules.
        classfile: Class files rather than a dex.
    """
    (app,) = TARGET.glob("app-*.jar")
    # Half the time of a JVM that is set up for long runs
    command: list[str | Path] = [
        "java",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        PARTS / "tools" / "r8.jar",
    ]
    command += ["com.android.tools.r8.R8", "--release", "--no-data-resources", "--map-diagnostics", "info", "none"]
    command += ["--map-diagnostics", "warning", "error"]
    command += ["--classfile"] if classfile else ["--min-api", property_of_pom("android.min.sdk")]
    for library in (PARTS / "tools" / "android-all.jar", java_home()):
        command += ["--lib", library]
    for file in (RULES, *rules):
        command += ["--pg-conf", file]
    run([*command, "--output", output, app, *sorted((PARTS / "classes").glob("*.jar")), *extra])


def join(dex: Path, abis: Iterable[str], path: Path) -> None:
    """Write an APK, unaligned and unsigned: the same parts give the same bytes."""
    with zipfile.ZipFile(path, "w") as whole:
        for name, data, method in _entries(dex, abis):
            entry = zipfile.ZipInfo(name)  # of 1980, whenever it was built
            whole.writestr(entry, data, method, compresslevel=9)


def _entries(dex: Path, abis: Iterable[str]) -> Iterator[tuple[str, bytes, int]]:
    """Name, content and compression of every file in the APK."""
    with zipfile.ZipFile(TARGET / "resources.ap_") as resources:
        for entry in resources.infolist():  # resources.arsc stays stored, for Android maps it
            yield entry.filename, resources.read(entry), entry.compress_type
    with zipfile.ZipFile(dex) as classes:
        for name in sorted(classes.namelist()):
            if name.endswith(".dex"):
                yield name, classes.read(name), zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(next((PARTS / "classes").glob("javacpp-*.jar"))) as javacpp:
        for name in ("generic", *(PLATFORMS[abi] for abi in abis)):  # by which JavaCPP knows how libraries are named
            resource = f"org/bytedeco/javacpp/properties/{name}.properties"
            yield resource, javacpp.read(resource), zipfile.ZIP_DEFLATED
    for abi in abis:
        for jar in sorted((PARTS / "natives").glob(f"*-{PLATFORMS[abi]}.jar")):
            with zipfile.ZipFile(jar) as natives:
                for name in sorted(natives.namelist()):
                    if name.startswith(f"lib/{abi}/") and name.endswith(".so"):
                        yield name, natives.read(name), zipfile.ZIP_DEFLATED
    for file in sorted(BUNDLE.iterdir()):
        yield f"assets/{BUNDLE.name}/{file.name}", file.read_bytes(), zipfile.ZIP_DEFLATED


def debug_key() -> Path:
    """A key store with a debug key, made where there is none; it is nobody's secret and signs nothing for a shop."""
    path = ROOT / "target" / "debug.p12"
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        command: list[str | Path] = ["keytool", "-genkeypair", "-noprompt", "-keystore", path, "-storetype", "PKCS12"]
        command += ["-storepass", DEBUG_PASSWORD, "-alias", DEBUG_KEY, "-dname", "CN=Android Debug,O=Android,C=US"]
        run([*command, "-keyalg", "RSA", "-keysize", "2048", "-validity", "10000"])
    return path


def sign(unsigned: Path, key: Path, path: Path) -> None:
    """Align an APK and sign it, schemes 2 and 3: older Androids than `android.min.sdk` alone need scheme 1."""
    aligned = unsigned.with_suffix(".aligned.apk")
    run(["zipalign", "-f", "4", unsigned, aligned])
    command: list[str | Path] = ["apksigner", "sign", "--ks", key, "--ks-key-alias", DEBUG_KEY]
    command += ["--ks-pass", f"pass:{DEBUG_PASSWORD}", "--min-sdk-version", property_of_pom("android.min.sdk")]
    command += ["--v1-signing-enabled", "false", "--v2-signing-enabled", "true", "--v3-signing-enabled", "true"]
    run([*command, "--v4-signing-enabled", "false", "--out", path, aligned])


def property_of_pom(name: str) -> str:
    """A property of the parent pom, where every version stands."""
    found = ET.parse(ROOT / "pom.xml").findtext(f"./{{*}}properties/{{*}}{name}")  # noqa: S314 - our own file
    if found is None:
        raise SystemExit(f"{ROOT / 'pom.xml'} has no property {name}.")
    return found


def java_home() -> Path:
    """Folder of the JDK that `java` is of."""
    java = shutil.which("java")
    if java is None:
        raise SystemExit("found no java. Install a JDK 17: scripts/install-android-packages")
    return Path(os.path.realpath(java)).parent.parent


def run(command: Sequence[str | Path]) -> None:
    """Run a program; end where it fails, for it has said why."""
    try:
        done = subprocess.run([str(part) for part in command], check=False)
    except FileNotFoundError:
        raise SystemExit(f"found no {command[0]}. Install it: scripts/install-android-packages") from None
    if done.returncode:
        raise SystemExit(f"{command[0]} failed with exit code {done.returncode}.")


if __name__ == "__main__":
    main()
