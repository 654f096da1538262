"""`toolkit VERB`: the same verbs as `python -m toolkit.VERB`, each imported when it is called."""

from __future__ import annotations

import importlib

import click

VERBS = {
    "shards": "write recordings as shards, for millions of clips",
    "train": "train a supernet on recordings",
    "profile": "measure or model what its layers cost on a device",
    "evaluate": "evaluate subnets of a Run on recordings",
    "search": "find the best subnet under a device's budget",
    "export": "write a subnet as a bundle of runtime files",
    "verify": "compare a bundle with PyTorch",
    "listen": "listen to a file or a microphone with a bundle",
    "report": "write all of it as one page to open in a browser",
    "reproduce": "make the paper's tables and figures anew",
    "demo": "run the whole chain on this machine",
}


class Verbs(click.Group):
    """A group that imports a verb's module only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs, in the order they are used."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb."""
        if cmd_name not in VERBS:
            return None
        return importlib.import_module(f"toolkit.{cmd_name}.__main__").main  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """One audio-event supernet, specialized to your device."""


if __name__ == "__main__":
    main()
