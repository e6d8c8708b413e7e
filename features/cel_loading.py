"""CEL, loaded without the command line that comes with it.

The package imports its interactive shell, hence prompt_toolkit and pygments: 220 modules and a quarter of a second of
CPU in every command and every worker (common-expression-language 0.10). When `import cel` does that no more, this goes.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_SHELL = "cel.cli"


def load_cel() -> Any:
    """The library."""
    if "cel" in sys.modules:
        return sys.modules["cel"]
    sys.modules[_SHELL] = ModuleType(_SHELL)
    try:
        return importlib.import_module("cel")
    finally:
        del sys.modules[_SHELL]
