"""The documents say what is true of the tree: commands, options, make targets and links exist; no name leaks."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parent.parent
LISTED = subprocess.run(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
)
FILES = sorted(path for name in LISTED.stdout.split("\0") if name and (path := ROOT / name).is_file())
DOCUMENTS = [path for path in FILES if path.suffix == ".md"]
VARIABLE = re.compile(r"^[A-Z_]+=")


def named(path: Path) -> str:
    """A file's name for test reports."""
    return str(path.relative_to(ROOT))


def code_lines(document: Path) -> list[str]:
    """The lines of code blocks and the inline code of a Markdown document, continued lines joined."""
    text = document.read_text()
    blocks: list[str] = re.findall(r"^ *```.*?\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    inline: list[str] = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line.strip() for code in (*blocks, *inline) for line in re.sub(r"\\\n", " ", code).splitlines()]


def commands(document: Path) -> list[list[str]]:
    """The words of every command that a document shows, one list for each, comments and pipes cut off."""
    found = []
    for line in code_lines(document):
        for part in re.split(r"&&|\|(?![^\[{]*[\]}])|;", line.removeprefix("$ ").split(" #")[0]):
            try:
                words = shlex.split(part)
            except ValueError:  # prose with an apostrophe
                continue
            while words and VARIABLE.match(words[0]):
                words.pop(0)
            if words:
                found.append(words)
    return found


def module_and_rest(words: list[str]) -> tuple[str, list[str]] | None:
    """The module that a command runs and what follows it: `python -m MODULE ...` or `toolkit VERB ...`."""
    if words[0] == "toolkit" and len(words) > 1 and words[1].isalpha():
        return f"toolkit.{words[1]}", words[2:]
    if Path(words[0]).name.startswith("python") and words[1:2] == ["-m"] and len(words) > 2:
        return words[2], words[3:]
    return None


def command_options(module: str, rest: list[str]) -> set[str]:
    """The options of a verb, and of the subcommand of it that `rest` names."""
    command: click.Command = importlib.import_module(f"{module}.__main__").main
    for word in rest:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return options | {"--help", "-h"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_commands_and_options_exist(document: Path) -> None:
    """Every module that a document runs is there, and every option that it gives to a verb."""
    for words in commands(document):
        module, rest = module_and_rest(words) or ("", [])
        if module.partition(".")[0] not in {"toolkit", "benchmarks"} or not re.fullmatch(r"[a-z_.]+", module):
            continue
        assert importlib.util.find_spec(module), " ".join(words)
        if module.startswith("toolkit."):
            options = {word.partition("=")[0].strip("[]") for word in rest if re.match(r"\[?--?[a-z]", word)}
            assert options <= command_options(module, rest), " ".join(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_make_targets_exist(document: Path) -> None:
    """Every `make TARGET` that a document shows is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for words in commands(document):
        if words[0] == "make":
            assert {word for word in words[1:] if not VARIABLE.match(word)} <= targets, " ".join(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    """Every link to a file of the repository, or to a heading, finds it."""
    for link in re.findall(r"\]\(([^()\s]+)\)", document.read_text()):
        target, _, heading = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        path = (document.parent / target).resolve() if target else document
        assert path.exists(), link
        if heading and path.suffix == ".md":
            titles = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, link


def test_every_marker_is_a_suite_that_make_names() -> None:
    """A marker that `make test` leaves out is named in its last lines, with a target of its own."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    makefile = (ROOT / "Makefile").read_text()
    for marker in options["markers"]:
        suite = marker.partition(":")[0]
        assert f"not {suite}" in " ".join(options["addopts"])
        assert re.search(rf"echo '  {suite}, .*make test-{suite}'", makefile)
        assert re.search(rf"^test-all:.* test-{suite}\b", makefile, flags=re.MULTILINE)


def test_no_file_names_a_registry_or_a_place_of_its_makers() -> None:
    """Files name packages and versions, never the host that serves them or a folder outside the repository."""
    # Each pattern is spelt so that it does not match itself.
    hosts = (
        r"pypi[.]org|[p]ythonhosted|download[.]pytorch|[n]pmjs|repo1?[.]maven|crates[.]io|proxy[.]golang|deb[.]debian"
    )
    leak = re.compile(hosts.encode() + rb"|(?<![\w*])/[w]ork/|/tmp/[w]/")
    for path in FILES:
        content = path.read_bytes()
        assert not leak.search(content), named(path)
        assert not re.search(rb"[.][.]/[s]hared", content) or named(path) == ".ci/run", named(path)
