"""What was tried without a fault in this process, and need not be tried again: actions, each beside one brand.

An action's expressions and texts are run on samples of everything they may meet, which is most of what checking a
catalogue costs: a running server reloads a catalogue in which one text has changed, a command reads it several times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from features.brand import Brand
from features.catalogue import Action
from features.faults import Fault
from features.variable_names import VariableType

MOST = 8_192  # of 32 bytes; more are forgotten together
_faultless: set[bytes] = set()


class Trials:
    """Of the actions of one catalogue beside one brand, and the variables that its expressions may name."""

    def __init__(self, brand: Brand, variables: Mapping[str, VariableType]) -> None:
        self._beside = f"{brand.model_dump_json()}\n{sorted(variables.items())}\n"

    def faults(self, action: Action, tried: Iterator[Fault]) -> list[Fault]:
        """What trying an action finds; nothing is tried where an equal one had no fault.

        Args:
            action: as it was read.
            tried: tries it when the first fault is asked for.
        """
        name = hashlib.sha256((self._beside + action.model_dump_json()).encode()).digest()
        if name in _faultless:
            return []
        if not (found := list(tried)):
            if len(_faultless) >= MOST:
                _faultless.clear()
            _faultless.add(name)
        return found
