"""One tree of errors: each class says by its exit code who has to do something."""

from __future__ import annotations

import inspect

import pytest

from toolkit.specs import errors


@pytest.mark.parametrize(
    ("name", "exit_code"),
    [
        ("UserError", 2),
        ("MismatchError", 2),
        ("InfeasibleError", 3),
        ("DeviceError", 4),
        ("TransientDeviceError", 4),
        ("StableDeviceError", 4),
    ],
)
def test_exit_codes(name: str, exit_code: int) -> None:
    """Wrong input leaves with 2, an impossible budget with 3, a device that fails with 4."""
    error = getattr(errors, name)("what was found")
    assert isinstance(error, errors.ToolkitError)
    assert error.exit_code == exit_code


def test_the_docstring_draws_the_tree() -> None:
    """Every class stands in the picture of the module, below its parent."""
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.ToolkitError)]
    lines = (errors.__doc__ or "").splitlines()
    column = {
        line.split("exit")[0].strip(" |+-").split()[0]: len(line) - len(line.lstrip(" |+-"))
        for line in lines
        if line.startswith("    ")
    }
    for cls in classes:
        parent = cls.__bases__[0]
        assert cls.__name__ in column
        assert parent is Exception or column[parent.__name__] < column[cls.__name__]


def test_only_one_kind_is_worth_another_try() -> None:
    """What is caught as transient is neither stable nor the user's doing."""
    assert not issubclass(errors.StableDeviceError, errors.TransientDeviceError)
    assert not issubclass(errors.UserError, errors.DeviceError)
