"""The API's table of `opsnb.toml`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, StrictBool, field_validator

from opsnb.config.settings import Secret, Settings
from opsnb.config.urls import HttpUrl

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Api(Settings):
    """`[targets.NAME.api]`: the service's HTTP API."""

    url: HttpUrl = Field("", description="Base URL. Empty: the service has no API.")
    health: str = Field("/health", description="Path of the health check. Empty: there is none.")
    queue_stats: str = Field(
        "/api/queue/stats",
        description="Path that reports the queues. Empty: the service has none.",
    )
    headers: Annotated[dict[str, str], Secret.HEADERS] = Field(
        default_factory=dict,
        repr=False,
        description='Sent with each request, such as `{ Authorization = "Bearer ${API_TOKEN}" }`.',
    )
    ca: str = Field(
        "", description="File of the certificate authority that signs the API's certificate."
    )
    verify: StrictBool = Field(
        True, description="False: any certificate is taken; doctor warns of it."
    )

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"has '{name}', which is no name of a header")
            if not value.isascii():
                raise ValueError(f"must be plain ASCII; {name} is not")
            if value != value.strip() or not value:
                # As of "Bearer ${TOKEN}" with an empty TOKEN: no client sends it.
                raise ValueError(
                    "must neither be empty nor begin or end with a space; correct "
                    f"{name}, or set its variable"
                )
        return headers
