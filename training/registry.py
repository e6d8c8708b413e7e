"""The one home of MLflow: what was tried, with which data, how it did; and which version is what.

Runs and versions live in `state/mlflow.db`, their files in `state/mlflow/`. No server is started. Serving never looks
here: `artifacts/champion.json` is the truth for it, the aliases are for people.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

from training.beside import begun

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

    from features.workspace import Workspace

EXPERIMENT = "rapport"
CHAMPION, CHALLENGER = "champion", "challenger"
VERSION_TAG = "rapport_version"
MOST_LETTERS = 5_000  # of a tag, in MLflow
MOST_PARAMETERS, MOST_METRICS = 100, 1_000  # of one call, in MLflow


class Registry:
    """Open it with `with`; MLflow is imported, and told where it lives, when something is first asked of it.

    Args:
        workspace: whose runs these are.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._state = workspace.state
        self._artifacts = workspace.artifacts
        self._before: str | None = None
        self._opened: Callable[[], MlflowClient] | None = None

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            with contextlib.suppress(Exception):  # who asked for something was told of it
                self._opened()
        if self._before is None:
            return
        import mlflow

        mlflow.set_tracking_uri(self._before)
        mlflow.set_registry_uri(self._before)

    def open_meanwhile(self) -> None:
        """Begins to open MLflow beside what follows, which takes seconds: for who is about to record something."""
        if self._opened is None:
            # MLflow imports polars where that is installed, and scikit-learn would ask it while it is half imported.
            with contextlib.suppress(ImportError):
                import polars  # noqa: F401
            self._opened = begun(self._open)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's own, of the workspace's database."""
        return self._open() if self._opened is None else self._opened()

    def _open(self) -> MlflowClient:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        os.environ["DO_NOT_TRACK"] = "true"
        os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        with _quiet():
            import mlflow

            database = self._state / "mlflow.db"
            if not database.exists():
                _make_quick(database)
            uri = f"sqlite:///{database}"
            self._before = mlflow.get_tracking_uri()
            mlflow.set_tracking_uri(uri)
            mlflow.set_registry_uri(uri)
            return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    @cached_property
    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found:
            return str(found.experiment_id)
        return str(self.client.create_experiment(EXPERIMENT, artifact_location=(self._state / "mlflow").as_uri()))

    def record(
        self,
        name: str,
        version: str,
        *,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        figures: Mapping[str, Figure],
        tags: Mapping[str, str],
    ) -> str:
        """One run with parameters, metrics, plots and the artefact's files, registered as the challenger; its id."""
        with _quiet():
            run = self.client.create_run(self._experiment, run_name=f"{name} {version}", tags=dict(tags))
            run_id: str = run.info.run_id
            self._log(run_id, parameters, metrics)
            for file, figure in figures.items():
                self.client.log_figure(run_id, figure, f"plots/{file}.png")
            self.client.log_artifacts(run_id, str(self._artifacts / name / version), "model")
            self._register(name, version, run_id)
            self.client.set_terminated(run_id)
        return run_id

    def _log(self, run_id: str, parameters: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        """As many in one transaction as MLflow takes: one by one each costs what all of them do."""
        from mlflow.entities import Metric, Param

        at = int(time() * 1_000)
        for some in _in_parts([Param(key, str(value)[:500]) for key, value in parameters.items()], MOST_PARAMETERS):
            self.client.log_batch(run_id, params=some)
        told = [Metric(key, float(number), at, 0) for key, number in metrics.items()]
        for some in _in_parts(told, MOST_METRICS):
            self.client.log_batch(run_id, metrics=some)

    def log_gate(self, run_id: str, gate: Mapping[str, Any]) -> None:
        """Keeps the verdict with the run: whole as `gate.json`, whether it passed as tag, why not as another."""
        failed = [f"{check['question']}: {check['answer']}" for check in gate["checks"] if not check["passed"]]
        with _quiet():
            self.client.log_dict(run_id, dict(gate), "gate.json")
            self.client.set_tag(run_id, "gate", "passed" if gate["passed"] else "not passed")
            if failed:
                self.client.set_tag(run_id, "gate_reasons", "\n".join(failed)[:MOST_LETTERS])

    def crown(self, name: str, version: str) -> None:
        """Moves the alias `champion` to a version; one that was trained elsewhere is left unnamed."""
        number = self._number(name, version)
        if number is not None:
            with _quiet():
                self.client.set_registered_model_alias(name, CHAMPION, number)

    def _register(self, name: str, version: str, run_id: str) -> None:
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # it is there already
            self.client.create_registered_model(name)
        source = f"{self.client.get_run(run_id).info.artifact_uri}/model"
        made = self.client.create_model_version(name, source, run_id, tags={VERSION_TAG: version})
        self.client.set_registered_model_alias(name, CHALLENGER, made.version)

    def _number(self, name: str, version: str) -> str | None:
        """MLflow's own number of a version: the newest run that made it."""
        found = self.client.search_model_versions(f"name = '{name}' and tag.{VERSION_TAG} = '{version}'")
        return max((one.version for one in found), key=int, default=None)


def _make_quick(database: Path) -> None:
    """An empty database with a write-ahead log, a setting that the file keeps.

    A commit is one fsync then, where SQLite's own journal takes several, and MLflow's first opening commits a hundred
    migrations.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _in_parts(all_of_them: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(all_of_them), most):
        yield all_of_them[begin : begin + most]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MLflow's and Alembic's notices about their own tables say nothing to our user."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "mlflow.store.db.utils")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def tracking_database(workspace: Workspace) -> Path:
    """Where MLflow's tables are."""
    return workspace.state / "mlflow.db"
