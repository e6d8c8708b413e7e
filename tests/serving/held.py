"""Where anything of Ann's is held in a workspace that erasing_world filled."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq

from features.database import connect
from features.erased_rows import personal_tables
from features.forgetting import forget_online
from features.workspace import Workspace
from tests.serving.erasing_world import ANN, PHONE, SECRET

ANNS, BOBS, PHONES = 1, 2, 3


def keys_held(workspace: Workspace) -> Iterator[tuple[str, int]]:
    """Every customer key in every file that holds some, with where."""
    for path in workspace.lake.rglob("*.parquet"):
        if "customer_key" in pq.read_schema(path).names:
            keys = pq.read_table(path, columns=["customer_key"], partitioning=None)["customer_key"].to_pylist()
            yield from ((path.name, key) for key in keys)
    for path in workspace.lake.rglob("*.arrow"):
        with pa.memory_map(str(path)) as source:
            keys = pa.ipc.open_file(source).read_all()["customer_key"].to_pylist()
        yield from ((path.name, key) for key in keys)
    with closing(connect(workspace.database)) as connection:
        for table in personal_tables(connection):
            yield from ((table, row[0]) for row in connection.execute(f'SELECT customer_key FROM "{table}"'))


def holds_anything_of_ann(workspace: Workspace) -> list[str]:
    """Where anything of Ann's is: under her keys, or her ids and words in any byte of any file."""
    found = [f"{where}: key {key}" for where, key in keys_held(workspace) if key in (ANNS, PHONES)]
    words = [word.encode() for word in (ANN, PHONE, f"{ANN}: {SECRET}", "decision-of-ann", "out-ann", "ann-")]
    for path in (path for path in workspace.root.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found += [f"{path.relative_to(workspace.root)}: {word!r}" for word in words if word in content]
    for path in (workspace.lake / "quarantine").glob("*.parquet"):
        found += [f"{path.name}: refused" for text in pq.read_table(path)["original"].to_pylist() if ANN in text]
    if forget_online(workspace, [ANNS, PHONES]):
        found.append("online row")
    return found


def holds_anything_of_ann_without_removing(workspace: Workspace) -> list[str]:
    copy = Workspace(workspace.root.parent / "looked_at")
    shutil.copytree(workspace.root, copy.root)
    try:
        return holds_anything_of_ann(copy)
    finally:
        shutil.rmtree(copy.root)
