"""What must hold of what customers press, in `brand.yaml`: names of hosts, and buttons that can be shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from features.faults import Fault
from features.yaml_file import YamlFile

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.IGNORECASE)
RULE = "A host is its name alone, such as shop.example.com: no scheme, port, path or wildcard; each subdomain is named."


def link_host_faults(file: YamlFile) -> Iterator[Fault]:
    """The faults of hosts that no link could ever lead to."""
    hosts = file.value_at(("link_hosts",))
    if not isinstance(hosts, list):
        return
    for index, host in enumerate(hosts):
        if isinstance(host, str) and not _HOST.fullmatch(host):
            yield file.fault(("link_hosts", index), f"is '{host}', which is no name of a host.", RULE, _meant(host))


def mail_button_faults(file: YamlFile) -> Iterator[Fault]:
    """The faults of channels whose e-mails would leave out the suggested replies that they are said to show."""
    channels = file.value_at(("channels",))
    for name, channel in channels.items() if isinstance(channels, dict) else ():
        if not isinstance(channel, dict) or channel.get("format") != "email":
            continue
        limit = channel.get("buttons_limit", 0)
        if isinstance(limit, int) and limit > 0:
            rule = "An e-mail shows no suggested replies, since nothing could come back: write 0, and give it a link."
            yield file.fault(("channels", name, "buttons_limit"), f"is {limit} beside 'format: email'.", rule)


def _meant(host: str) -> str | None:
    """The host inside an address that was written instead."""
    try:
        found = urlsplit(host if "//" in host else f"//{host}").hostname or ""
    except ValueError:
        return None
    return found if _HOST.fullmatch(found) else None
