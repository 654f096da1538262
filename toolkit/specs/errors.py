"""The one tree of errors that people see: what was found, what was expected, what to do next.

    ToolkitError
    +-- UserError              exit 2: wrong input, file, option
    |   +-- MismatchError      exit 2: two good things that do not belong together
    +-- InfeasibleError        exit 3: no subnet fits the budget
    +-- DeviceError            exit 4: a device let us down
        +-- TransientDeviceError   worth another try (a cable, a time-out)
        +-- StableDeviceError      trying again gives the same

Proved by tests/specs/test_errors.py.
"""

from __future__ import annotations


class ToolkitError(Exception):
    """Base of every error the verbs report in one line, without a traceback."""

    exit_code = 1


class UserError(ToolkitError):
    """The input is wrong; the message says how to mend it."""

    exit_code = 2


class MismatchError(UserError):
    """Each part is sound, but they do not belong together (another space, front end, schema)."""


class InfeasibleError(ToolkitError):
    """No subnet fits the budget; the message names the closest one and the constraint it breaks."""

    exit_code = 3


class DeviceError(ToolkitError):
    """A device could not do what was asked."""

    exit_code = 4


class TransientDeviceError(DeviceError):
    """Trying again may work: a time-out, a dropped connection."""


class StableDeviceError(DeviceError):
    """Trying again will not help until somebody does what the message says."""
