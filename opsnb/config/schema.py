"""The tables of `opsnb.toml`, but for those of targets and of unattended runs."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from opsnb.config.settings import Identifier, Limits, Table, check_names
from opsnb.config.unattended import Notify, Schedule


class Contact(Table):
    """`[[contacts]]`: whom to call, for the contacts page."""

    role: str = Field(description="For what they are called.")
    name: str = Field("TBD", description="Who it is.")
    contact: str = Field("TBD", description="How to reach them.")
    availability: str = Field("", description="When they can be reached.")


class Keep(Table):
    """`[[records.keep]]`: how long `opsnb records prune` keeps records; the first that fits holds.

    A record that no table fits is kept.
    """

    status: tuple[str, ...] = Field(
        (),
        description="For runs that ended so, such as `ok`, `crit` or `refused`; all by default.",
    )
    trigger: str = Field(
        "*", description="For runs begun so, such as `manual` or `schedule*`; all by default."
    )
    days: float = Field(0, ge=0, description="Keep records that are younger.")
    newest: int = Field(
        1, ge=0, description="Keep so many of each runbook on each target, whatever their age."
    )


class Records(Table):
    """`[records]`: where executed notebooks are kept."""

    store: str = Field(
        "records",
        min_length=1,
        description="A folder, relative to `opsnb.toml`, or any fsspec URL. `$OPSNB_RECORDS` goes "
        "before it, relative to the working folder.",
    )
    site: str = Field(
        "",
        description="Where the site is published, such as `https://ops.example.com`: notifications "
        "link to its pages.",
    )
    keep: tuple[Keep, ...] = Field(
        (), description="What `opsnb records prune` may remove; nothing by default."
    )


class Runbooks(Table):
    """`[runbooks]`: runbooks of one's own, beside those that opsnb brings."""

    paths: tuple[str, ...] = Field(
        (),
        description="Folders, relative to `opsnb.toml`, of `<section>/<runbook>.ipynb`. A runbook "
        "of the same id takes the place of the one that opsnb brings.",
    )
    off: tuple[str, ...] = Field(
        (),
        description="Sections, such as `database`, of which opsnb's own runbooks and those of "
        "installed packages are left out.",
    )
    faults: tuple[str, ...] = Field(
        (),
        description="Modules, such as `acme_ops.faults`, with faults of the demo to practise on.",
    )


HANDBOOK_CONTACTS = tuple(
    Contact(role=role, availability=availability)
    for role, availability in (
        ("On-Call Engineer", "24/7"),
        ("Database Admin", "Business hours"),
        ("DevOps Lead", "Business hours"),
        ("Engineering Manager", "Business hours"),
    )
)


class File(Table):
    """The whole of `opsnb.toml`."""

    targets: dict[Identifier, dict[str, Any]] = Field(default_factory=dict)
    contacts: tuple[Contact, ...] = HANDBOOK_CONTACTS
    records: Records = Records()
    runbooks: Runbooks = Runbooks()
    thresholds: dict[str, Limits] = Field(default_factory=dict)
    schedules: tuple[Schedule, ...] = ()
    notify: tuple[Notify, ...] = ()

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        check_names(self.schedules, "schedules")
        check_names(self.notify, "[[notify]] tables")
        return self
