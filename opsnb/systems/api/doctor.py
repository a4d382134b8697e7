"""What `opsnb doctor` checks of this system."""

from urllib.parse import urlsplit

from opsnb.checks.probe import Probe
from opsnb.config.target import Target
from opsnb.redaction import safe_url
from opsnb.systems.api import checks, connecting, reported_queues
from opsnb.systems.api.settings import Api

_DOWN = "Start the service, or correct api_url."


def _get(target: Target, path: str) -> str:
    if not path:
        return "a path of the API, which opsnb.toml leaves empty"
    parts = urlsplit(Api.of(target).url)
    parts = parts._replace(path=parts.path.rstrip("/") + path, query="", fragment="")
    return f"GET {safe_url(parts.geturl())}"


PROBES = (
    Probe(
        checks.health,
        tried=lambda target: _get(target, Api.of(target).health),
        down=_DOWN,
        key="api_url",
    ),
    Probe(
        reported_queues.queue_stats,
        tried=lambda target: _get(target, Api.of(target).queue_stats),
        down=_DOWN,
        key="api_url",
    ),
    Probe(
        checks.certificate,
        tried=lambda target: f"api.verify in [targets.{target.name}]",
        found="Name the certificate authority's file as api.ca, and leave api.verify out.",
        applies=lambda target: not connecting.is_verified(target),
    ),
)
