"""The page "Compatibility", made from what the tests found.

Run as a module it writes the page: `make compatibility` does so after it has run the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.runs import ROOT
from tests.stranger.combination import COMBINATIONS, Combination
from tests.stranger.data import FEW_OF_REDIS
from tests.stranger.outcome import Outcome, committed
from tests.stranger.runbooks import CASES, LACKS, REFUSALS

PAGE = Path(ROOT, "docs/reference/compatibility.md")

_INTRO = """# Compatibility

All {count} runbooks run on each of these systems in the tests: first as a dry run, which changes
nothing, then with `--apply`, whose effect is measured without opsnb. Meanwhile the service goes on
working, and everything else on the servers, another application's keys, queues and databases among
it, stays as it is. This page is made from what the tests found.

## The systems

| | BullMQ | PostgreSQL | Redis | opsnb's logins | PostgreSQL's own address |
| --- | --- | --- | --- | --- | --- |
{systems}

*Few* rights are those of a careful operator. In PostgreSQL the login owns the service's database
and nothing else. In Redis it has
`{rights}`.
With *many* rights it is a member of `pg_monitor`, may create databases, and may do everything in
Redis.

On all of them:

- PostgreSQL is behind pgbouncer in transaction mode. Where its own address is set too, that is
  `database.direct_url`. The database has two schemas, quoted names, a partitioned table, a large
  object, and an extension of the superuser in a schema of its own.
- Redis evicts any key (`allkeys-lru`), wants a password with special characters, and holds another
  application's keys and queues in the same numbered database.
- The queues have the prefix `shop` and names with dots, spaces, brackets and quotes. Workers have
  names or none, and limits of their rate. There are flows, priorities, jobs by the clock and ids
  of the service's own.
- The API speaks HTTPS with a certificate of a company's own CA, wants a bearer token, answers
  `/healthz`, and has no endpoint for queues.
- pm2 has a home folder of its own. It runs a cluster, a script by the clock, and a process that
  fails.
- The service logs as pino does, its access log is nginx's `combined`, and rotated files are packed
  with gzip and zstd.

## The runbooks

**ok**: all of it was measured, and what acts has acted. **partly**: the notes say what could not be
seen, and why. **refused**: the action that the note names changed nothing, and said so.

| Runbook | Tried | {names} |
| --- | --- | {line} |
"""


def render() -> str:
    """Return the page."""
    found = {of: (committed(of, "reads"), committed(of, "acts")) for of in COMBINATIONS}
    notes = _Notes()
    rows = [
        [
            f"`{runbook}`",
            "reads" if case.apply is None else "reads and acts",
            *(
                _cell(notes, of, [kind[runbook] for kind in found[of] if runbook in kind])
                for of in COMBINATIONS
            ),
        ]
        for runbook, case in sorted(CASES.items())
    ]
    intro = _INTRO.format(
        count=len(CASES),
        systems="\n".join(map(_system, COMBINATIONS)),
        rights=" ".join(FEW_OF_REDIS),
        names=" | ".join(map(_letter, COMBINATIONS)),
        line=" | ".join("---" for _ in COMBINATIONS),
    )
    return intro + "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{notes}\n"


class _Notes:
    """Reasons, each with its number."""

    def __init__(self) -> None:
        self._known: list[str] = []

    def number(self, reason: str) -> str:
        """Return the number of a reason."""
        if reason not in self._known:
            self._known.append(reason)
        return str(self._known.index(reason) + 1)

    def __str__(self) -> str:
        return "\n".join(f"{number}. {reason}" for number, reason in enumerate(self._known, 1))


def _letter(of: Combination) -> str:
    return "ABCDEF"[COMBINATIONS.index(of)]


def _system(of: Combination) -> str:
    redis = "Redis 7" if of.redis == "redis" else "Valkey 9"
    words = [_letter(of), f"{of.bullmq}", f"{of.postgres}", redis, f"{of.rights} rights"]
    return f"| {' | '.join([*words, 'set' if of.direct else 'not set'])} |"


def _cell(notes: _Notes, of: Combination, outcomes: Sequence[Outcome]) -> str:
    reasons = [_refusal(outcome.refused) for outcome in outcomes if outcome.refused]
    word = "refused" if reasons else "ok"
    for outcome in outcomes:
        for check, why in outcome.lacks.items():
            word = "partly" if word == "ok" else word
            reasons.append(next((lack.note for lack in LACKS if lack.excuses(check, why, of)), why))
    numbers = sorted({int(notes.number(reason)) for reason in reasons})
    return f"{word} ({', '.join(map(str, numbers))})" if numbers else word


def _refusal(reason: str) -> str:
    return next((note for part, note in REFUSALS.items() if part in reason), reason)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
