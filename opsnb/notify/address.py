"""Check whether apprise can send to a channel's URL. Slow to import, as apprise is."""

from __future__ import annotations

from apprise import Apprise
from apprise.manager_plugins import NotificationManager

from opsnb.config.unattended import check_scheme
from opsnb.errors import ConfigError, did_you_mean


def check(url: str, where: str) -> None:
    """Raise ConfigError when apprise cannot send to `url`; only its scheme is shown."""
    check_scheme(url, where)
    scheme = url.partition("://")[0]
    services = NotificationManager().schemas()  # type: ignore[no-untyped-call]
    native = scheme.lower() in ("http", "https")  # such as Slack's own webhook URLs
    if not native and scheme.lower() not in services:
        near = did_you_mean(scheme, services)
        raise ConfigError(
            f"{where}: url starts with '{scheme}://', which apprise does not support."
            + (near if "Did you mean" in near else " Its documentation lists the services.")
        )
    if "${" not in url and Apprise.instantiate(url, suppress_exceptions=True) is None:
        raise ConfigError(
            f"{where}: apprise cannot use this {scheme}:// URL. "
            + (
                "Use json:// or jsons:// for your own webhook."
                if native
                else "Compare it with apprise's documentation of that service."
            )
        )
