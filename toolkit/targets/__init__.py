"""How to reach a device: bring a pack and the agent there, run it, take its lines, clean up. No other room does."""

from toolkit.targets.base import Schedule, Start, Target, Visit
from toolkit.targets.opening import open_target

__all__ = ["Schedule", "Start", "Target", "Visit", "open_target"]
