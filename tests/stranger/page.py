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

The tests run all {count} runbooks on each of these systems: first as a dry run, which must change
nothing, then with `--apply`, whose effect they measure without opsnb. The service keeps working
meanwhile, no job is lost or run twice, and nothing else on the servers changes, including another
application's keys, queues and databases. This page is generated from the results.

## The systems

| | BullMQ | PostgreSQL | Redis | opsnb's logins | PostgreSQL's own address |
| --- | --- | --- | --- | --- | --- |
{systems}

*Few* rights are what a careful operator grants. In PostgreSQL the login owns the service's database
and nothing else. In Redis it has
`{rights}`.
With *many* rights it is a member of `pg_monitor`, may create databases, and may do everything in
Redis.

On all of them:

- PostgreSQL is behind pgbouncer in transaction mode. Where its own address is set too, that is
  `database.direct_url`. The database has two schemas, quoted names, a partitioned table, a large
  object, and an extension of the superuser in a schema of its own.
- Redis evicts any key (`allkeys-lru`), requires a password with special characters, and holds
  another application's keys and queues in the same numbered database.
- The queues have the prefix `shop` and names with dots, spaces, brackets and quotes. One worker is
  named, one is rate-limited. There are flows, priorities, scheduled jobs and custom job ids.
- The API uses HTTPS with a certificate of a private CA, requires a bearer token, answers
  `/healthz`, and has no endpoint for queues.
- pm2 has its own `PM2_HOME`. It runs a cluster, a scheduled script, and a process that keeps
  failing.
- The service writes pino's JSON, the access log is nginx's `combined`, and rotated files are
  compressed with gzip and zstd.

## The runbooks

**ok**: every check was measured and every action was applied and verified. **partly**: the notes
say what could not be seen, and why. **refused**: opsnb refused the action that the note names,
changed nothing, and said how to fix it.

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
