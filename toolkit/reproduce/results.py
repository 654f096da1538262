"""`Results`: the folder in which units leave their results, and the digest by which a result knows its recipe.

Not how results are made (`toolkit.reproduce.units`), and no torch. Proved by tests/reproduce/test_units.py and
tests/reproduce/test_report.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from toolkit.reproduce.plan import Unit
from toolkit.specs.errors import MismatchError
from toolkit.specs.recipe import Recipe
from toolkit.specs.unit import UnitResult

DATA = "data.json"
"""Beside the folder of results: `DataFacts`."""


class Results:
    """The folder of unit results of one recipe."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe

    def path(self, unit: Unit) -> Path:
        """Where a unit's result lies."""
        return self.folder / f"{unit.name}.json"

    def read(self, unit: Unit) -> UnitResult | None:
        """A unit's result, None if it is not done.

        Raises:
            MismatchError: it was made with another recipe.
        """
        path = self.path(unit)
        if not path.exists():
            return None
        result = UnitResult.load(path)
        if result.recipe_digest != unit_digest(unit, self.recipe):
            raise MismatchError(
                f"{path} was made with another recipe than {self.recipe.name} is now. Name another --out."
            )
        return result

    def all(self, units: Iterable[Unit]) -> dict[str, UnitResult]:
        """Results by unit name of those units that are done, in the order of the units.

        Raises:
            MismatchError: one was made with another recipe, or with other data than the rest.
        """
        found = {unit.name: result for unit in units if (result := self.read(unit)) is not None}
        for result in found.values():
            first = next(iter(found.values()))
            if result.data_digest != first.data_digest:
                both = f"units {first.unit} and {result.unit} in {self.folder}"
                raise MismatchError(f"{both} heard other data. Remove one and run it anew.")
        return found


def unit_digest(unit: Unit, recipe: Recipe) -> str:
    """Identifies what a unit's figures depend on in the recipe; fields that stand at their default are left out."""
    own = unit.recipe(recipe)
    told = own.model_dump(mode="json", exclude_defaults=True, exclude={"name", "run", "credits", "stages"})
    for name in ("checkpoint_steps", "evaluation_steps", "evaluated_subnets", "false_alarms_per_hour"):
        told.pop(name, None)
    told["stages"] = {name: recipe.stages[name].model_dump(mode="json") for name in own.needed(unit.stage)}
    text = json.dumps([unit.name, told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
