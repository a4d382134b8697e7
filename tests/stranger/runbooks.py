"""What each runbook is given on the stranger, and what must be so afterwards.

Everything is named after the stranger's own things, and measured without opsnb.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from opsnb.model import Finding, RunResult, Status
from tests.stranger import data, deploying, servers
from tests.stranger.combination import Combination
from tests.stranger.data import CLOCK, MAILS, ORDERS, PAUSED, QUEUES, REPORTS, RESIZE
from tests.stranger.logs import ERRORS, age
from tests.stranger.outcome import BY_LUCK
from tests.stranger.system import API, BROKEN, NIGHTLY, WORKER, Shop

Judge = Callable[[Shop, RunResult], None]


def nothing(_: Shop) -> None:
    """Prepare nothing."""


def _agreed(_: Shop, result: RunResult) -> None:
    """Expect nothing besides what is expected of every runbook."""


@dataclass(frozen=True)
class Case:
    """One runbook on the stranger."""

    parameters: dict[str, str] = field(default_factory=dict)
    shown: Judge = _agreed
    """Asserts what the dry run shows."""
    apply: dict[str, str] | None = None
    """Parameters of the run with `--apply`, besides `parameters`; None: it does not act."""
    prepare: Callable[[Shop], None] = nothing
    effect: Judge = _agreed
    """Asserts, after the run with `--apply`, that the effect is exactly the planned one."""
    changes: tuple[str, ...] = ()
    """What may have changed then: globs of addresses of a snapshot."""
    refused: Callable[[Combination], str] = lambda _: ""
    """Part of the sentence with which this combination must refuse to act; empty: it acts."""


def found(result: RunResult, name: str) -> Finding:
    """Return the last finding of that name."""
    return [finding for finding in result.findings if finding.name == name][-1]


def planned(result: RunResult) -> list[int]:
    """Return how much each action planned."""
    return [action.planned for action in result.actions]


# ---- queues ------------------------------------------------------------------------------------


def depth_is_right(shop: Shop, result: RunResult) -> None:
    """Each queue that stands still is counted as BullMQ counts it, and no other queue is."""
    rows = {row["queue"]: row for row in found(result, "queues.depth").rows}
    assert set(rows) == set(QUEUES)
    with shop.bullmq() as service:
        for queue in (REPORTS, PAUSED, RESIZE, CLOCK):
            counts = service.counts(queue)
            waiting = sum(counts.get(state, 0) for state in ("waiting", "prioritized", "paused"))
            seen = [rows[queue][state] for state in ("waiting", "active", "delayed", "failed")]
            assert seen == [waiting, counts["active"], counts["delayed"], counts["failed"]], queue


def queues_are_seen(shop: Shop, result: RunResult) -> None:
    depth_is_right(shop, result)
    pauses = found(result, "queues.pauses")
    assert pauses.status is Status.WARN
    assert PAUSED in pauses.message
    workers = found(result, "queues.workers")
    if shop.of.few:
        assert workers.status is Status.UNKNOWN
        assert "+client|list" in workers.message
    else:
        counted = {row["queue"]: row["workers"] for row in workers.rows}
        assert counted == {queue: int(queue in data.BUSY) for queue in QUEUES}


def reports_are_measured(shop: Shop, result: RunResult) -> None:
    assert found(result, "queues.states").value == 30 + 8 + 6 + 3 + 2
    assert sum(row["completed"] for row in found(result, "queues.throughput").rows) == 30
    reasons = {row["jobs"] for row in found(result, "queues.reasons").rows}
    assert reasons == {5, 3}


def the_failures_are_explained(_: Shop, result: RunResult) -> None:
    assert "8 of 8" in found(result, "failures.upstream").message
    assert found(result, "failures.rate").status is not Status.OK


def lengths_are_right(shop: Shop, result: RunResult) -> None:
    length = found(result, "backlog.length")
    assert length.status is not Status.UNKNOWN, length.message
    assert {row["queue"] for row in length.rows} == {ORDERS}


def mails_are_paused(shop: Shop, result: RunResult) -> None:
    with shop.bullmq() as service:
        assert service.queue(MAILS, "isPaused") is True
        service.queue(MAILS, "resume")
    assert found(result, "queues.state").status is not Status.UNKNOWN


def the_paused_queue_runs(shop: Shop, _: RunResult) -> None:
    with shop.bullmq() as service:
        assert service.queue(PAUSED, "isPaused") is False
        counts = service.counts(PAUSED)
        assert (counts["waiting"], counts.get("paused", 0)) == (4, 0)
        service.queue(PAUSED, "pause")


def only_one_cause_was_cleaned(shop: Shop, result: RunResult) -> None:
    assert planned(result) == [5]
    with shop.bullmq() as service:
        counts = service.counts(REPORTS)
        assert (counts["failed"], counts["completed"], counts["delayed"]) == (3, 30, 2)
        assert not any(name.startswith("report ") for name in service.ids(REPORTS, "failed"))


def only_one_cause_was_retried(shop: Shop, result: RunResult) -> None:
    assert planned(result) == [3]
    with shop.bullmq() as service:
        counts = service.counts(REPORTS)
        assert counts["failed"] in (0, 5)  # cleaned before, or not
        assert (counts["waiting"], counts["prioritized"]) == (6 + 3, 3)


def the_photo_is_removed(shop: Shop, result: RunResult) -> None:
    assert planned(result) == [1]
    with shop.bullmq() as service:
        assert service.queue(RESIZE, "getJob", "photo 7") is None
        assert service.counts(RESIZE)["active"] == 0


def two_workers_run(shop: Shop, _: RunResult) -> None:
    states = [each["pm2_env"]["status"] for each in shop.processes()[WORKER]]
    assert states == ["online", "online"]
    shop.run_pm2("scale", WORKER, "1")


# ---- cache -------------------------------------------------------------------------------------


def prices_are_planned(_: Shop, result: RunResult) -> None:
    assert planned(result) == [300]


def prices_are_gone(shop: Shop, result: RunResult) -> None:
    prices_are_planned(shop, result)
    with shop.redis() as client:
        assert list(client.scan_iter("price:*", count=1000)) == []


def pages_are_warm(shop: Shop, _: RunResult) -> None:
    with shop.redis() as client:
        assert len(list(client.scan_iter("page:en:warm:*", count=1000))) == 20


def families_are_counted(shop: Shop, result: RunResult) -> None:
    families = found(result, "cache.families")
    counted = {row["family"]: row["keys"] for row in families.rows}
    assert counted.get("price:*") == 300 or counted.get("price:*:EUR") == 300, counted


# ---- PostgreSQL --------------------------------------------------------------------------------


def _direct(shop: Shop) -> str:
    return shop.environment["SHOP_DIRECT"]


def statements_are_seen(shop: Shop, result: RunResult) -> None:
    slow = found(result, "database.slow_statements")
    sizes = {row["table"] for row in found(result, "database.table_sizes").rows}
    assert any("Customer Orders" in table for table in sizes)
    if shop.of.few:
        assert slow.status is Status.UNKNOWN
        assert "CREATE EXTENSION" in slow.message
    else:
        assert slow.status in (Status.OK, Status.WARN)


def connections_are_seen(shop: Shop, result: RunResult) -> None:
    """How many there are everyone may know, and what the administrator's does not."""
    seen = found(result, "database.connections")
    assert seen.status is Status.OK, seen.message
    assert ("pg_monitor" in seen.message) == shop.of.few, seen.message


def the_orders_are_analyzed(shop: Shop, result: RunResult) -> None:
    assert planned(result) != [0]
    ((when,),) = shop.query(
        "SELECT min(last_analyze) FROM pg_stat_user_tables WHERE relname LIKE 'Customer Orders _'"
    )
    assert result.actions[0].started
    assert when >= result.actions[0].started


def the_index_is_new(shop: Shop, _: RunResult) -> None:
    rows = shop.query(
        "SELECT count(*), bool_and(indisvalid) FROM pg_index WHERE indrelid IN"
        " ('sales.\"Customer Orders 1\"'::regclass, 'sales.\"Customer Orders 2\"'::regclass)"
    )
    assert rows == [(4, True)]


_sessions: list[psycopg.Connection[Any]] = []
_LONG = "SELECT pg_sleep(300)"


def a_long_query(shop: Shop) -> None:
    """Have the service's login and another application's run something long."""
    for url in (_direct(shop), shop.postgres.url(database=data.OTHERS_DATABASE)):
        connection = psycopg.connect(url, autocommit=True)
        connection.pgconn.send_query(_LONG.encode())
        _sessions.append(connection)
    servers.wait_until(lambda: len(_long_queries(shop)) == 2, "the long queries run")
    time.sleep(0.7)  # longer than the limit that the runbook is given


def _long_queries(shop: Shop) -> list[str]:
    return [
        name
        for (name,) in shop.query(
            f"SELECT datname FROM pg_stat_activity WHERE query = '{_LONG}' AND state = 'active'"
        )
    ]


def only_ours_was_ended(shop: Shop, result: RunResult) -> None:
    assert planned(result) == [1]
    assert _long_queries(shop) == [data.OTHERS_DATABASE]
    while _sessions:
        _sessions.pop().close()
    shop.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '{_LONG}'")


def there_is_a_backup(shop: Shop, result: RunResult) -> None:
    """The dump has all that is there: its rows and its large object."""
    (dump,) = [path for path in (shop.folder / "backups").iterdir() if path.suffix == ".dump"]
    listed = subprocess.run(
        [shop.programs / "pg_restore", "--list", dump], capture_output=True, text=True, check=True
    ).stdout
    for thing in ("TABLE DATA sales Customer Orders 1", "TABLE DATA Catalog products", "BLOB"):
        assert thing in listed
    assert result.actions[0].verified


def no_backup(shop: Shop) -> None:
    """Take away what other runbooks have made."""
    for path in (shop.folder / "backups").iterdir():
        path.unlink()


_COUNTS = (
    'SELECT (SELECT count(*) FROM sales."Customer Orders"),'
    ' (SELECT count(*) FROM "Catalog".products),'
    " (SELECT count(*) FROM pg_largeobject_metadata)"
)


def it_is_restored(shop: Shop, result: RunResult) -> None:
    """All is there again, and what only the superuser may restore is named."""
    assert result.actions[-1].verified
    ((name,),) = shop.query("SELECT datname FROM pg_database WHERE datname LIKE 'shop\\_%'")
    assert shop.query(_COUNTS, name) == shop.query(_COUNTS) == [(3000, 500, 1)]
    warned = [finding.message for finding in result.findings if finding.status is Status.WARN]
    assert any("extension pg_stat_statements" in words for words in warned)
    shop.query(f'DROP DATABASE "{name}" WITH (FORCE)')


def it_is_proven(shop: Shop, result: RunResult) -> None:
    assert all(action.verified for action in result.actions), result.actions
    assert shop.query("SELECT datname FROM pg_database WHERE datname LIKE 'shop\\_%'") == []


def titles_have_an_index(shop: Shop, result: RunResult) -> None:
    rows = shop.query(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index"
        " WHERE indrelid = '\"Catalog\".products'::regclass AND NOT indisprimary"
    )
    ((name, valid),) = rows
    assert valid
    shop.query(f"DROP INDEX {name}")


# ---- incidents, processes, deployment ----------------------------------------------------------


def the_day_is_right(shop: Shop, result: RunResult) -> None:
    depth_is_right(shop, result)
    for name in ("api.health", "database.ping", "cache.ping"):
        assert found(result, name).status is Status.OK, found(result, name).message
    assert found(result, "logs.errors").value == (3 * ERRORS if shop.of.errors else 0)
    up = found(result, "processes.up")
    assert NIGHTLY not in up.message or "exit code 0" in up.message
    if shop.of.few:  # the broken one is not among those that must be up
        assert up.status is Status.OK, up.message
    else:
        assert up.status is Status.CRIT
        assert BROKEN in up.message


def errors_are_counted(shop: Shop, result: RunResult) -> None:
    rates = [finding for finding in result.findings if finding.name == "errors.rate"]
    assert rates[0].value == (3 * ERRORS if shop.of.errors else 0), rates[0].message
    assert found(result, "errors.failed_requests").value == 0


def the_worker_is_down(shop: Shop) -> None:
    shop.run_pm2("stop", WORKER)


def the_worker_is_up(shop: Shop, _: RunResult) -> None:
    states = {
        name: {each["pm2_env"]["status"] for each in all_}
        for name, all_ in shop.processes().items()
    }
    assert states == {
        API: {"online"},
        WORKER: {"online"},
        NIGHTLY: {"stopped"},
        BROKEN: {"errored"},
    }
    assert (shop.folder / "nightly").read_text() == "ran\n"


def nothing_to_start(shop: Shop, result: RunResult) -> None:
    for name in ("outage.redis", "outage.postgres", "outage.service"):
        assert found(result, name).status is Status.OK, found(result, name).message
    wanted = 0 if shop.of.few else 1  # the broken one
    assert planned(result) == [0, wanted]


def the_worker_was_restarted(shop: Shop, _: RunResult) -> None:
    assert {each["pm2_env"]["status"] for each in shop.processes()[WORKER]} == {"online"}


def orders_without_email(shop: Shop) -> None:
    shop.query(
        "INSERT INTO sales.\"Customer Orders\" VALUES (9001, '2026-01-05', '', 1),"
        " (9002, '2026-02-05', '', 1)"
    )


def they_are_gone(shop: Shop, result: RunResult) -> None:
    assert shop.query('SELECT count(*) FROM sales."Customer Orders"') == [(3000,)]
    with shop.bullmq() as service:
        assert service.queue(MAILS, "isPaused") is False
    assert all(action.verified for action in result.actions)


def release(shop: Shop) -> str:
    """Return the release that the running service names."""
    trusted = ssl.create_default_context(cafile=str(shop.folder / "tls" / "ca.pem"))
    headers = {"Authorization": f"Bearer {shop.token}"}
    url = f"https://localhost:{shop.api_port}/healthz"
    for _ in range(50):  # a process that ends takes no more connections
        with suppress(OSError):
            asked = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(asked, context=trusted) as answer:
                return str(json.load(answer)["release"])
        time.sleep(0.1)
    raise AssertionError("the API does not answer")


def bring(name: str) -> Callable[[Shop], None]:
    """Return what brings a release onto the host without opsnb."""

    def work(shop: Shop) -> None:
        deploying.bring(shop, name)
        shop.run_pm2("reload", API)

    return work


def is_at(name: str) -> Judge:
    """Return what asserts that a release runs, and that nothing is left paused."""

    def judge(shop: Shop, result: RunResult) -> None:
        assert release(shop) == name
        with shop.bullmq() as service:
            paused = [queue for queue in QUEUES if service.queue(queue, "isPaused")]
        assert paused == [PAUSED]
        assert all(action.verified for action in result.actions)

    return judge


def an_old_log(shop: Shop) -> None:
    path = shop.folder / "logs" / "shop.log.9.gz"
    path.write_bytes(b"")
    age(path, 40 * 86_400)


def the_old_log_is_gone(shop: Shop, result: RunResult) -> None:
    assert not (shop.folder / "logs" / "shop.log.9.gz").exists()
    assert all(action.verified is not False for action in result.actions)


# ---- what may be lacking -----------------------------------------------------------------------


@dataclass(frozen=True)
class Lack:
    """Checks that cannot know, on some combinations, and what they must say of it."""

    checks: frozenset[str]
    reason: str
    note: str
    """The same, for the page."""
    few_only: bool = True

    def excuses(self, check: str, reason: str, of: Combination) -> bool:
        """Say whether it is why `check` is unknown on a combination."""
        return check in self.checks and self.reason in reason and (of.few or not self.few_only)


LACKS = (
    Lack(
        frozenset({"comparison.with_before", "capacity.forecast"}),
        "ecord",
        "There are no records yet: no deployment to compare with, too few days to forecast from.",
        few_only=False,
    ),
    Lack(
        frozenset({"queues.workers", "backlog.no_worker"}),
        "+client|list",
        "Workers are not counted without `CLIENT LIST`: `ACL SETUSER shop-ops +client|list`.",
    ),
    Lack(
        frozenset({"cache.commands", *BY_LUCK}),
        "+monitor",
        "Without `MONITOR` the commands are not known, nor which reads are BullMQ's and which are "
        "the cache's: `ACL SETUSER shop-ops +monitor`.",
    ),
    Lack(
        frozenset({"cache.slow_log"}),
        "+slowlog|get",
        "Slow commands are not known without `SLOWLOG GET`: `ACL SETUSER shop-ops +slowlog|get`.",
    ),
    Lack(
        frozenset(
            {
                "database.slow_statements",
                "database.plan",
                "slowness.pace",
                "slowness.missing_index",
            }
        ),
        "CREATE EXTENSION",
        "Statements have no statistics; as superuser: `CREATE EXTENSION pg_stat_statements`.",
    ),
    Lack(
        frozenset({"database.long_queries", "slowness.running_long", "slowness.flooded"}),
        "pg_monitor",
        "What the sessions of other roles do is not seen; as superuser: "
        '`GRANT pg_monitor TO "shop-ops"`.',
    ),
)
"""Rights that few have, and records that a new system has not: nothing else may be unknown."""

REFUSALS = {
    "warm_up": 'The service has no warm-up: `warm_up = ""`.',
    "direct_url": "Dumps, restores, `VACUUM` and building indexes concurrently need PostgreSQL "
    "itself, not a pooler: set `direct_url`.",
    "CREATEDB": "A restore goes into a new database first; as superuser: "
    '`ALTER ROLE "shop-ops" CREATEDB`.',
}
"""Part of the sentence with which an action is refused, and the same for the page."""


# ---- the table ---------------------------------------------------------------------------------


def behind_a_pooler(of: Combination) -> str:
    """What needs a session of its own wants PostgreSQL's own address."""
    return "" if of.direct else "direct_url"


def no_right_to_make_databases(of: Combination) -> str:
    return behind_a_pooler(of) or ("CREATEDB" if of.few else "")


_PAUSED_MEANWHILE = ("redis 3 shop:*:events", "redis 3 shop:*:marker")
_REPORTS = {"queue": REPORTS}
_BACKUPS = {"folder": "backups"}
_ITEMS = ("reviewed", "announced", "tested", "migrations_tested", "watched")
_TICKED = {f"{item}_by": "Ann" for item in _ITEMS}

CASES: dict[str, Case] = {
    "health/daily": Case({"samples": "3"}, the_day_is_right),
    "queues/monitor": Case({}, queues_are_seen),
    "queues/metrics": Case(_REPORTS, reports_are_measured),
    "queues/pause": Case({"queue": MAILS}, apply={}, effect=mails_are_paused),
    "queues/resume": Case(
        {"queue": PAUSED},
        apply={},
        effect=the_paused_queue_runs,
        changes=(f"redis 3 shop:{PAUSED}:*",),
    ),
    "queues/clean_failed": Case(
        _REPORTS | {"older_than": "1s", "reason": "quota"},
        apply={},
        effect=only_one_cause_was_cleaned,
        changes=(f"redis 3 shop:{REPORTS}:*",),
    ),
    "queues/retry_failed": Case(
        _REPORTS | {"reason": "ECONNREFUSED"},
        apply={},
        effect=only_one_cause_was_retried,
        changes=(f"redis 3 shop:{REPORTS}:*",),
    ),
    "queues/remove_stuck": Case(
        {"queue": RESIZE, "longer_than": "1s"},
        apply={},
        effect=the_photo_is_removed,
        changes=(f"redis 3 shop:{RESIZE}:*",),
    ),
    "cache/health": Case({"seconds": "1", "key": "price:7:EUR"}),
    "cache/clear": Case(
        {"pattern": "price:*"},
        prices_are_planned,
        apply={},
        effect=prices_are_gone,
        changes=("redis 3 price:*",),
    ),
    "cache/warm_up": Case(
        apply={},
        effect=pages_are_warm,
        changes=("redis 3 page:en:warm:*",),
        refused=lambda of: "warm_up" if of.few else "",
    ),
    "cache/performance": Case({"seconds": "1", "monitor": "50"}),
    "cache/key_patterns": Case({}, families_are_counted),
    "database/performance": Case({}, statements_are_seen),
    "database/analyze": Case(
        {"table": "sales.Customer Orders", "vacuum": "true"},
        apply={},
        effect=the_orders_are_analyzed,
        changes=('upkeep shop sales."Customer Orders*"',),
        refused=behind_a_pooler,
    ),
    "database/reindex": Case(
        {"kind": "index", "name": "sales.by Email"},
        apply={},
        effect=the_index_is_new,
        changes=('relation shop sales."Customer Orders *_email_idx"',),
        refused=behind_a_pooler,
    ),
    "database/connections": Case(
        {"minutes": "0.01"},
        connections_are_seen,
        apply={},
        prepare=a_long_query,
        effect=only_ours_was_ended,
    ),
    "database/backup": Case(
        _BACKUPS,
        apply={},
        prepare=no_backup,
        effect=there_is_a_backup,
        changes=("file backups/*",),
        refused=behind_a_pooler,
    ),
    "database/restore": Case(
        _BACKUPS,
        apply={},
        effect=it_is_restored,
        changes=("* shop_restore_*",),
        refused=no_right_to_make_databases,
    ),
    "troubleshooting/high_queue_length": Case(
        {"queue": ORDERS, "process": WORKER, "seconds": "1"},
        lengths_are_right,
        apply={"workers": "2"},
        effect=two_workers_run,
        changes=(f"process {WORKER} *",),
    ),
    "troubleshooting/high_cache_miss_rate": Case({"seconds": "1"}),
    "troubleshooting/slow_queries": Case(
        {"seconds": "1"},
        apply={"index_table": "Catalog.products", "index_columns": "title"},
        effect=titles_have_an_index,
        changes=('relation shop "Catalog".*',),
        refused=behind_a_pooler,
    ),
    "troubleshooting/memory": Case(
        {"seconds": "1"},
        apply={"restart": WORKER},
        effect=the_worker_was_restarted,
        changes=(f"process {WORKER} *", f"process {BROKEN} *"),
    ),
    "troubleshooting/failed_jobs": Case(_REPORTS, the_failures_are_explained),
    "incidents/service_down": Case(
        {"minutes": "1s"},
        nothing_to_start,
        apply={},
        prepare=the_worker_is_down,
        effect=the_worker_is_up,
        changes=(f"process {WORKER} *", f"process {BROKEN} *"),
    ),
    "incidents/high_error_rate": Case({}, errors_are_counted),
    "incidents/performance_degradation": Case({"samples": "3"}),
    "incidents/data_inconsistency": Case(
        apply={},
        prepare=orders_without_email,
        effect=they_are_gone,
        changes=("rows shop sales.Customer Orders*",),
    ),
    "monitoring/queue_watch": Case({"every": "1", "minutes": "2s"}, depth_is_right),
    "monitoring/key_metrics": Case({"samples": "3", "seconds": "1"}),
    "monitoring/alert_thresholds": Case({"samples": "3", "seconds": "1"}),
    "deployment/pre_deploy": Case(_BACKUPS | _TICKED),
    "deployment/deploy": Case(
        _BACKUPS | {"minutes": "1s", "unchecked_by": "Ann"},
        apply={},
        prepare=bring(deploying.FIRST),
        effect=is_at(deploying.SECOND),
        changes=("file copy/*", "file backups/*", f"process {API} *", *_PAUSED_MEANWHILE),
        refused=behind_a_pooler,  # no release without a backup
    ),
    "deployment/verify": Case({"samples": "3"}),
    "deployment/rollback": Case(
        {"minutes": "1s", "release": deploying.SECOND},
        apply={"release": deploying.FIRST},
        prepare=bring(deploying.SECOND),
        effect=is_at(deploying.FIRST),
        changes=("file copy/*", f"process {API} *", *_PAUSED_MEANWHILE),
    ),
    "maintenance/weekly": Case(
        {"packages": "false"},
        apply={},
        prepare=an_old_log,
        effect=the_old_log_is_gone,
        changes=("file logs/shop.log.9.gz", "upkeep shop *"),
        refused=behind_a_pooler,  # what comes before it is done
    ),
    "maintenance/monthly": Case(
        _BACKUPS | {"packages": "false"},
        apply={},
        effect=it_is_proven,
        changes=("file backups/*",),
        refused=no_right_to_make_databases,
    ),
}
