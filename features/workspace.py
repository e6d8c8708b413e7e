"""Where everything of one brand lives: one folder, by default `./workspace`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from features.faults import CallersMistake

WORKSPACE_VARIABLE = "RAPPORT_WORKSPACE"
DEFAULT_WORKSPACE = Path("workspace")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths of one brand's files; making one touches no disk."""

    root: Path

    @property
    def brand_file(self) -> Path:
        """Who speaks, to whom, for what."""
        return self.root / "brand.yaml"

    @property
    def catalogue_file(self) -> Path:
        """Every message and offer."""
        return self.root / "catalogue.yaml"

    @property
    def sql_folder(self) -> Path:
        """The brand's own features, one `*.sql` file a view."""
        return self.root / "features"

    @property
    def lake(self) -> Path:
        """Events, snapshots, scores and quarantine, as Parquet."""
        return self.root / "lake"

    @property
    def state(self) -> Path:
        """Databases: what is written while serving."""
        return self.root / "state"

    @property
    def database(self) -> Path:
        """Identity, event log, ledger and personal text: the one transactional database."""
        return self.state / "rapport.db"

    @property
    def versions(self) -> Path:
        """Every brand.yaml and catalogue.yaml that decisions were made with, by sha256."""
        return self.state / "versions"

    @property
    def artifacts(self) -> Path:
        """Trained models, and which of them are champions."""
        return self.root / "artifacts"


def find_workspace(path: Path | None = None) -> Workspace:
    """The workspace asked for: the argument, else $RAPPORT_WORKSPACE, else ./workspace.

    Raises:
        CallersMistake: there is no `brand.yaml` in that folder.
    """
    root = path or Path(os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE)
    workspace = Workspace(root.expanduser().resolve())
    if not workspace.brand_file.is_file():
        raise CallersMistake(
            f"Asked for the workspace '{root}', but it has no brand.yaml. A workspace is a folder that "
            f"'rapport init {root}' has written; name another with --workspace or ${WORKSPACE_VARIABLE}."
        )
    return workspace
