"""The Android demo has two builds, Maven and Gradle, of one source: what stands in both is the same in both."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

DEMO = Path(__file__).parents[2] / "android_demo"
GRADLE_ALONE = {"executorch"}
"""Modules of which Maven knows nothing: the library below them is not to be had everywhere."""
MOST_LINES = 250


def pom(module: str = "") -> ET.Element:
    """A module's pom; the parent's where none is named."""
    return ET.parse(DEMO / module / "pom.xml").getroot()  # noqa: S314 - our own file


def properties() -> dict[str, str]:
    """The properties of the parent pom, by name."""
    found = pom().find("{*}properties")
    assert found is not None
    return {each.tag.partition("}")[2]: each.text or "" for each in found}


def text(node: ET.Element, name: str) -> str:
    """Of a child, or nothing."""
    return (node.findtext(f"{{*}}{name}") or "").strip()


def resolved(value: str) -> str:
    """A value of a pom, its properties filled in."""
    return re.sub(r"\$\{(.*?)\}", lambda match: properties()[match[1]], value)


def managed() -> dict[str, str]:
    """Version of each library that the parent pom names, by `group:artifact`."""
    entries = pom().iterfind("{*}dependencyManagement/{*}dependencies/{*}dependency")
    return {
        f"{text(each, 'groupId')}:{text(each, 'artifactId')}": resolved(text(each, "version"))
        for each in entries
        if text(each, "groupId") != "org.aectoolkit"
    }


def catalogue() -> dict[str, Any]:
    """Gradle's version catalogue."""
    return tomllib.loads((DEMO / "gradle" / "libs.versions.toml").read_text())


def gradle(module: str) -> str:
    """A module's build script, without comments."""
    return re.sub(r"//.*", "", (DEMO / module / "build.gradle.kts").read_text())


def maven_modules() -> set[str]:
    """The modules of the parent pom."""
    return {each.text or "" for each in pom().iterfind("{*}modules/{*}module")}


def of_maven(module: str, scopes: set[str]) -> set[str]:
    """`group:artifact[:classifier]`, or `:module`, of what a module's pom and the parent's ask for."""
    wanted = set()
    for each in (
        *pom(module).iterfind("{*}dependencies/{*}dependency"),
        *pom().iterfind("{*}dependencies/{*}dependency"),
    ):
        if (text(each, "scope") or "compile") not in scopes:
            continue
        if text(each, "groupId") == "org.aectoolkit":
            wanted.add(f":{text(each, 'artifactId')}")
        else:
            classifier = f":{resolved(text(each, 'classifier'))}" if text(each, "classifier") else ""
            wanted.add(f"{text(each, 'groupId')}:{text(each, 'artifactId')}{classifier}")
    return wanted


def of_gradle(module: str, configurations: str) -> set[str]:
    """The same of a Gradle script, for the configurations that a pattern matches."""
    accessors = {
        f"libs.{alias.replace('-', '.')}": library["module"] for alias, library in catalogue()["libraries"].items()
    }
    wanted = set()
    for configuration, what in re.findall(r'^ *"?(\w+)"?\((.+)\)$', gradle(module), re.MULTILINE):
        if not re.fullmatch(configurations, configuration):
            continue
        if named := re.search(r'project\("(:\w+)"', what):
            wanted.add(named[1])
        elif accessor := re.search(r"libs(?:\.\w+)+", what):
            classifier = re.search(r'classifier\("(.+?)"\)', what)
            wanted.add(accessors[accessor[0]] + (f":{classifier[1]}" if classifier else ""))
    return wanted


def test_the_modules_are_the_same() -> None:
    """Gradle has Maven's modules, and those whose library is not to be had everywhere."""
    included = re.search(r"include\((.*)\)", (DEMO / "settings.gradle.kts").read_text())
    assert included
    assert set(re.findall(r'":(\w+)"', included[1])) == maven_modules() | GRADLE_ALONE


def test_the_oldest_and_the_target_android_are_the_same() -> None:
    """Both builds name the same Androids, and both Gradle modules of Android take them from the catalogue."""
    versions = catalogue()["versions"]
    assert versions["min-sdk"] == properties()["android.min.sdk"]
    assert versions["target-sdk"] == properties()["android.target.sdk"]
    compact = re.sub(r"\s+", "", gradle("app"))
    assert "minSdk=libs.versions.min.sdk.get().toInt()" in compact
    assert "targetSdk=libs.versions.target.sdk.get().toInt()" in compact
    assert f'versionName="{text(pom(), "version")}"' in compact


def test_versions_are_the_same() -> None:
    """Every library that both builds name has one version, and so have Kotlin and Java."""
    versions = catalogue()["versions"]
    assert versions["kotlin"] == properties()["kotlin.version"]
    assert versions["java"] == properties()["java.bytecode"]
    of_catalogue = {
        library["module"]: versions[library["version"]["ref"]]
        for library in catalogue()["libraries"].values()
        if "version" in library
    }
    shared = of_catalogue.keys() & managed().keys()
    assert {each: of_catalogue[each] for each in shared} == {each: managed()[each] for each in shared}
    assert of_catalogue.keys() - shared == {"org.jetbrains.kotlin:kotlin-test-junit5", "org.pytorch:executorch-android"}
    assert managed().keys() - shared == {"org.jetbrains.kotlin:kotlin-bom", "org.robolectric:android-all"}


def test_the_version_of_executorch_is_the_one_it_says() -> None:
    """The runner of ExecuTorch, whose library does not tell its version, names the catalogue's."""
    (source,) = (DEMO / "executorch").rglob("ExecutorchRunners.kt")
    stated = re.findall(r'VERSION = "(.*)"', source.read_text())
    assert stated == [catalogue()["versions"]["executorch"]]


@pytest.mark.parametrize("module", ["core", "tflite", "app"])
def test_libraries_are_the_same(module: str) -> None:
    """A module asks for the same libraries in both builds: at run time, and for its tests."""
    given = {"org.jetbrains.kotlin:kotlin-stdlib", "org.robolectric:android-all"}  # by Gradle's own plugins
    assert of_gradle(module, "api|implementation|tfliteImplementation") == of_maven(module, {"compile"}) - given
    tests = of_gradle(module, "testImplementation|testRuntimeOnly")
    assert tests - {"org.junit:junit-bom"} == of_maven(module, {"test"})


def test_native_libraries_are_of_the_same_processors() -> None:
    """Gradle's splits, its libraries and build_apk.py name the same ABIs."""
    from android_demo.build_apk import PLATFORMS

    script = gradle("app")
    included = re.search(r"include\((.*)\)", script)
    listed = re.search(r"in listOf\((.*)\)", script)
    assert included
    assert listed
    assert re.findall(r'"(.*?)"', included[1]) == list(PLATFORMS)
    assert re.findall(r'"(.*?)"', listed[1]) == list(PLATFORMS.values())
    assert of_gradle("app", "tfliteRuntimeOnly") == {"org.bytedeco:tensorflow-lite", "org.bytedeco:javacpp"}


def test_source_folders_are_the_same() -> None:
    """Both builds read src/main/kotlin and src/test/kotlin, and Maven adds the folder of the flavour that it builds."""
    build = pom().find("{*}build")
    assert build is not None
    assert text(build, "sourceDirectory") == "src/main/kotlin"
    assert text(build, "testSourceDirectory") == "src/test/kotlin"
    added = [each.text or "" for each in pom("app").iter() if str(each.tag).endswith("}source")]
    flavours = re.findall(r'create\("(\w+)"\)', gradle("app"))
    assert [each for each in added if "src" in each] == [f"${{project.basedir}}/src/{flavours[0]}/kotlin"]
    for module in maven_modules():
        assert "sourceSets" not in gradle(module), "Gradle's own defaults are Maven's folders"
        assert "ourceDirectory" not in (DEMO / module / "pom.xml").read_text()
    folders = {path.relative_to(DEMO).parts[:4] for path in DEMO.glob("*/src/**/*.kt")}
    known = {(module, "src", kind, "kotlin") for module in maven_modules() for kind in ("main", "test")}
    assert folders <= known | {("executorch", "src", "main", "kotlin")} | {
        ("app", "src", flavour, "kotlin") for flavour in flavours
    }


def test_tests_are_told_the_same() -> None:
    """A system property that a test may read is set by both builds, but for where Maven keeps Robolectric's Android."""
    of_robolectric = {"robolectric.offline", "robolectric.dependency.dir"}
    poms = (pom(), pom("tflite"), pom("core"), pom("app"))
    blocks = [block for each in poms for block in each.iter() if str(block.tag).endswith("}systemPropertyVariables")]
    of_maven = {str(each.tag).partition("}")[2] for block in blocks for each in block}
    assert of_maven - of_robolectric == set(re.findall(r'systemProperty\(\s*"(.*?)"', gradle("")))
    drawn = (DEMO / "app" / "src" / "test" / "resources" / "robolectric.properties").read_text().split()
    assert "graphicsMode=NATIVE" in drawn


def test_only_the_flavour_of_the_tests_has_tests() -> None:
    """The app's tests name TFLite's classes, so Gradle compiles them for no other flavour."""
    tests = "".join(path.read_text() for path in (DEMO / "app" / "src" / "test").rglob("*.kt"))
    named = set(re.findall(r"^import org\.aectoolkit\.(tflite|executorch)\.", tests, re.MULTILINE))
    untested = re.findall(
        r'beforeVariants\(selector\(\)\.withFlavor\("runtime" to "(\w+)"\)\) \{\s*'
        r"\(it as HasUnitTestBuilder\)\.enableUnitTest = false\s*\}",
        gradle("app"),
    )
    assert named == set(re.findall(r'create\("(\w+)"\)', gradle("app"))) - set(untested)


def test_gradle_can_package_and_find_what_it_needs() -> None:
    """What is known of the libraries and of the tools, and can be read here, where Gradle does not run."""
    assert 'resources.excludes += "META-INF/native-image/**"' in gradle("app"), "JavaCPP's jars hold the same names"
    settings = (DEMO / "gradle.properties").read_text().splitlines()
    assert "android.useAndroidX=true" in settings, "Robolectric brings libraries of AndroidX"
    assert "org.gradle.jvmargs=-Xmx3g" in settings
    for module in maven_modules() | GRADLE_ALONE:
        assert "jvmToolchain(" in gradle(module)
    assert 'id("org.gradle.toolchains.foojay-resolver-convention")' in (DEMO / "settings.gradle.kts").read_text()


def test_both_shrink_by_the_same_rules() -> None:
    """Gradle's release takes the rules that build_apk.py takes, which a test proves."""
    from android_demo.build_apk import RULES

    assert RULES.is_file()
    assert f'proguardFile("{RULES.name}")' in gradle("app")


def test_the_app_knows_the_runtime_by_its_flavour_alone() -> None:
    """No file that all flavours share names a runtime's own class."""
    for path in (DEMO / "app" / "src" / "main").rglob("*.kt"):
        assert not re.search(r"^import org\.aectoolkit\.(tflite|executorch)\.", path.read_text(), re.MULTILINE), path


def test_the_code_of_the_readme_is_compiled() -> None:
    """What the README shows stands in a source that the build compiles and a test runs."""
    shown = re.findall(r"```kotlin\n(.*?)```", (DEMO / "README.md").read_text(), re.DOTALL)
    (source,) = (DEMO / "tflite").rglob("ListenMain.kt")
    assert len(shown) == 1
    assert shown[0] in source.read_text()
    assert len(shown[0].splitlines()) <= 20


def test_files_are_short() -> None:
    """No file of the app is longer than 250 lines, sources, resources and builds."""
    kinds = {".kt", ".kts", ".xml", ".py", ".pro", ".properties", ".toml", ".yml", ".md"}
    files = [path for path in DEMO.rglob("*") if path.suffix in kinds and "target" not in path.parts]
    assert files
    lines = {path.name: len(path.read_text().splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
