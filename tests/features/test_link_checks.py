"""What brand.yaml may list as hosts of links."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import load_brand
from features.faults import InvalidFile
from features.starting import write_starter
from features.workspace import Workspace


def with_hosts(folder: Path, *hosts: str) -> Workspace:
    write_starter(folder)
    workspace = Workspace(folder)
    lines = "".join(f'  - "{host}"\n' for host in hosts)
    text = workspace.brand_file.read_text(encoding="utf-8")
    workspace.brand_file.write_text(f"{text}\nlink_hosts:\n{lines}", encoding="utf-8")
    return workspace


def test_names_of_hosts_are_taken(tmp_path: Path) -> None:
    brand = load_brand(with_hosts(tmp_path, "shop.example", "xn--11b4d.example", "localhost"))
    assert brand.link_hosts == ("shop.example", "xn--11b4d.example", "localhost")


@pytest.mark.parametrize(
    ("host", "closest"),
    [
        ("https://shop.example/sale", "shop.example"),
        ("shop.example:8443", "shop.example"),
        ("shop.example/sale", "shop.example"),
        ("*.shop.example", None),
        ("", None),
    ],
)
def test_what_no_link_could_lead_to_is_told_with_what_was_meant(tmp_path: Path, host: str, closest: str | None) -> None:
    with pytest.raises(InvalidFile) as raised:
        load_brand(with_hosts(tmp_path, host))
    (fault,) = raised.value.faults
    assert (fault.where, fault.closest) == ("link_hosts[0]", closest)
    assert "no name of a host" in str(fault)


def test_a_mail_that_would_leave_out_its_suggested_replies_is_told(tmp_path: Path) -> None:
    write_starter(tmp_path)
    workspace = Workspace(tmp_path)
    text = workspace.brand_file.read_text(encoding="utf-8")
    assert "buttons_limit: 0" in text
    workspace.brand_file.write_text(text.replace("buttons_limit: 0", "buttons_limit: 3", 1), encoding="utf-8")
    with pytest.raises(InvalidFile) as raised:
        load_brand(workspace)
    (fault,) = raised.value.faults
    assert fault.where == "channels.email.buttons_limit"
    assert "An e-mail shows no suggested replies" in str(fault)
