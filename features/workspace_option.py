"""The option `--workspace` of every verb that works in a brand's folder: found and explained the same way by all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        help="The brand's folder; default $RAPPORT_WORKSPACE, else ./workspace.",
        show_default=False,
    ),
]
