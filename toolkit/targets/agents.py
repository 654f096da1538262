"""From a plan to the lines of the agent that carries it out, on any target; and the agent that is written in Python.

The native agents are `toolkit.native`'s. Proved by tests/targets/test_targets.py and tests/targets/test_agent.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path

from toolkit.specs.errors import StableDeviceError
from toolkit.targets.base import Agent, Peak, Plan, Played, Start, Target, Visit, Workplace, read_line

PLAN = "plan.txt"

Lines = Generator[Start | Visit | Peak | Played, None, None]


class PythonAgent:
    """`agent.py`: for Python 3.9 or newer with numpy and one of ai-edge-litert and tflite-runtime; TFLite files."""

    files: Mapping[str, Path] = {"agent.py": Path(__file__).with_name("agent.py")}

    def command(self, plan: str) -> tuple[str, ...]:
        """The command, given the name of the plan's file."""
        return ("{python}", "agent.py", plan)


def carry_out(target: Target, agent: Agent, plan: Plan, files: Mapping[str, Path]) -> Lines:
    """Bring the agent and `files` to the target, carry out the plan, yield the lines as they come.

    Nothing is left there, however it ends; whoever stops reading closes the generator.

    Raises:
        TransientDeviceError: the connection was lost; another try may work.
        StableDeviceError: the device cannot do it; the message has the remedy.
    """
    with target.workplace() as place:
        place.bring({**agent.files, **files})
        yield from run_plan(place, agent, plan)


def run_plan(place: Workplace, agent: Agent, plan: Plan) -> Lines:
    """The same in a workplace that has the agent's and the plan's files already; there any number of plans may follow.

    Raises:
        TransientDeviceError, StableDeviceError: as `carry_out`.
    """
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as text:
        text.write(plan.text())
        text.flush()
        place.bring({PLAN: Path(text.name)})
    with closing(place.run(agent.command(PLAN))) as lines:
        for line in lines:
            yield read_line(line, place.name, StableDeviceError)
