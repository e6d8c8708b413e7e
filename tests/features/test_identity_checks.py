"""What `rapport check` says of devices that are shared."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from features.checking import check_workspace
from features.database import connect
from features.identity import IdentityTable
from features.identity_checks import TITLE, identity_checks
from features.starting import write_starter
from features.workspace import Workspace
from tests.disks import SmallDisk, needs_tmpfs
from tests.features.import_world import THREE_ORDERS, a_world


def test_a_check_tells_of_shared_devices_and_warns_when_there_are_many(tmp_path: Path) -> None:
    write_starter(tmp_path)
    workspace = Workspace(tmp_path)
    assert list(identity_checks(workspace)) == []
    assert not workspace.database.exists()
    with closing(connect(workspace.database)) as connection:
        identity = IdentityTable(connection)
        identity.keys_for([f"phone-{n}" for n in range(40)], "anonymous")
        found = [next(identity_checks(workspace))]
        for n, user in enumerate(("ann", "ben", "ann", "ben")):
            identity.join(user_id=user, anonymous_id="phone-1", at_us=n)
            found.append(next(identity_checks(workspace)))
    assert [(one.status, one.detail.split(",")[0]) for one in found] == [
        ("PASS", "0 changes of hands"),
        ("PASS", "0 changes of hands"),
        ("PASS", "1 changes of hands"),
        ("PASS", "2 changes of hands"),
        ("WARN", "3 changes of hands"),
    ]
    assert found[-1] in check_workspace(workspace).results
    assert found[-1].name == TITLE


@needs_tmpfs
def test_a_workspace_that_may_only_be_read_is_checked_all_the_same(tmp_path: Path) -> None:
    (root := tmp_path / "disk").mkdir()
    with SmallDisk(root, "tmpfs", megabytes=32) as disk:
        world = a_world(root)
        world.run(world.file("orders.csv", THREE_ORDERS))
        before = check_workspace(world.workspace)
        disk.make_read_only()
        after = check_workspace(world.workspace)
        assert {one.name: (one.status, one.detail) for one in after.results} == {
            one.name: (one.status, one.detail) for one in before.results
        }
        assert "every customer of the lake has an id" in {one.name for one in after.results}
        disk.make_writable()


def test_a_workspace_whose_database_has_heard_of_nobody_is_checked(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with closing(connect(workspace.database)) as connection:
        connection.execute("CREATE TABLE another (n INTEGER)")
    assert list(identity_checks(workspace)) == []
