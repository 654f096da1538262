"""How to reach a device: bring an agent and its files there, run it, take its lines, clean up. No other room does."""

from toolkit.targets.agents import Lines, PythonAgent, carry_out, run_plan
from toolkit.targets.base import (
    Agent,
    Condition,
    Peak,
    Plan,
    Play,
    Played,
    Start,
    Target,
    Visit,
    Workplace,
    read_line,
)
from toolkit.targets.opening import open_target

__all__ = [
    "Agent",
    "Condition",
    "Lines",
    "Peak",
    "Plan",
    "Play",
    "Played",
    "PythonAgent",
    "Start",
    "Target",
    "Visit",
    "Workplace",
    "carry_out",
    "open_target",
    "read_line",
    "run_plan",
]
