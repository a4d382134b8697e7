"""What is in the shop's servers, and what another application keeps beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import sql

from tests.servers.postgres import Server
from tests.stranger import servers
from tests.stranger.combination import Combination

if TYPE_CHECKING:
    from tests.stranger.system import Shop

ORDERS, MAILS = "orders.created", "send welcome mail"
"""Queues under load: the first one's worker has a name, the second one's is limited in its rate."""
REPORTS = "reports[eu]"
"""No worker: jobs that ended, and jobs that wait."""
PAUSED = "it's paused"
"""The service has paused it."""
RESIZE = "image.resize-2"
"""Its worker was killed in the middle of a job."""
CLOCK = "by the clock"
"""Its jobs are made by the clock."""
QUEUES = [ORDERS, MAILS, REPORTS, PAUSED, RESIZE, CLOCK]
BUSY = (ORDERS, MAILS)

OTHERS_DATABASE, OTHERS_QUEUE = "billing", "invoices"

FEW_OF_REDIS = ["~shop:*", "~page:*", "~price:*", "+@all", "-@admin", "-@dangerous", "+info"]

INTEGRITY: dict[str, Any] = {
    "name": "orders-without-email",
    "sql": 'SELECT "Order Id", placed FROM sales."Customer Orders" WHERE email = \'\'',
    "repair": "DELETE FROM sales.\"Customer Orders\" WHERE email = ''",
    "queues": [MAILS],
}

_SCHEMA = """
CREATE SCHEMA sales;
CREATE SCHEMA "Catalog";
CREATE TABLE sales."Customer Orders" (
  "Order Id" bigint, placed date, email ext.citext NOT NULL, total numeric(10, 2) NOT NULL,
  PRIMARY KEY ("Order Id", placed)
) PARTITION BY RANGE (placed);
CREATE TABLE sales."Customer Orders 1" PARTITION OF sales."Customer Orders"
  FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE sales."Customer Orders 2" PARTITION OF sales."Customer Orders"
  FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE INDEX "by Email" ON sales."Customer Orders" (email);
INSERT INTO sales."Customer Orders"
  SELECT n, date '2026-01-01' + n % 59, 'user' || n || '@example.com', n
  FROM generate_series(1, 3000) n;
CREATE TABLE "Catalog".products (id int PRIMARY KEY, title text NOT NULL, photo oid);
INSERT INTO "Catalog".products SELECT n, 'Product ' || n FROM generate_series(1, 500) n;
UPDATE "Catalog".products SET photo = lo_from_bytea(0, 'a photo') WHERE id = 1;
CREATE TABLE sales.done (queue text NOT NULL, job text NOT NULL);
ANALYZE;
"""


def fill_database(server: Server, of: Combination) -> None:
    """Make the login that opsnb is given, the shop's database, and another application's."""
    login = sql.Identifier(servers.LOGIN).as_string()
    password = sql.Literal(servers.PASSWORD).as_string()
    server.query(f"CREATE ROLE {login} LOGIN PASSWORD {password}")
    server.query(f"CREATE DATABASE {servers.DATABASE} OWNER {login}")
    server.query(f"CREATE DATABASE {OTHERS_DATABASE}")
    extensions = ["CREATE SCHEMA ext", "CREATE EXTENSION citext SCHEMA ext"]
    if not of.few:
        server.query(f"ALTER ROLE {login} CREATEDB", f"GRANT pg_monitor TO {login}")
        extensions.append("CREATE EXTENSION pg_stat_statements SCHEMA ext")
    server.query(*extensions, "GRANT USAGE ON SCHEMA ext TO PUBLIC", database=servers.DATABASE)
    server.query(f"SET ROLE {login}; {_SCHEMA}", database=servers.DATABASE)
    server.query(
        "CREATE TABLE invoices AS SELECT generate_series(1, 50) AS id", database=OTHERS_DATABASE
    )


def fill_redis(shop: Shop) -> None:
    """Make the login that opsnb is given, cache and queues, and another application's keys."""
    with shop.redis() as client:
        rights = FEW_OF_REDIS if shop.of.few else ["~*", "+@all"]
        client.execute_command(
            "ACL", "SETUSER", servers.LOGIN, "on", f">{servers.PASSWORD}", "&*", *rights
        )
        with client.pipeline(transaction=False) as pipeline:
            for n in range(300):
                pipeline.set(f"page:en:{n}", "x" * 200, ex=3600)
                pipeline.set(f"price:{n}:EUR", n)
            pipeline.hset("billing:session:1", mapping={"user": "ann"})
            pipeline.rpush("billing:list", 1, 2, 3)
            pipeline.xadd("billing:stream", {"a": 1})
            pipeline.zadd("billing:ranks", {"ann": 1.5})
            pipeline.execute()
    with shop.redis(0) as client:
        client.set("elsewhere:1", "kept")
    _fill_queues(shop)


def _fill_queues(shop: Shop) -> None:
    with shop.bullmq() as service:
        service.add(REPORTS, 30, name="daily", data={"n": 1})
        for n in range(5):
            service.add(REPORTS, 1, data={"fail": "quota exceeded"}, jobId=f"report {n}")
        service.add(REPORTS, 3, data={"fail": "connect ECONNREFUSED 10.0.0.7:443"})
        service.work(REPORTS, name="report worker", concurrency=10)
        service.until_idle(REPORTS)
        service.stop(REPORTS)
        service.add(REPORTS, 6)
        service.add(REPORTS, 3, priority=2)
        service.add(REPORTS, 2, delay=3_600_000)
        service.add(PAUSED, 4)
        service.queue(PAUSED, "pause")
        if shop.of.bullmq == 4:
            service.add(CLOCK, 1, repeat={"every": 3_600_000})
        else:
            service.queue(CLOCK, "upsertJobScheduler", "hourly", {"every": 3_600_000})
        service.add(RESIZE, 1, data={"hold": True}, jobId="photo 7")
        service.work(RESIZE, lockDuration=2000)
        servers.wait_until(
            lambda: service.counts(RESIZE)["active"] == 1, "the worker has begun with its job"
        )
    with shop.redis(3) as client:
        lock = f"shop:{RESIZE}:photo 7:lock"
        servers.wait_until(lambda: not client.exists(lock), "the lock of the dead worker runs out")
    with shop.bullmq("bull") as service:
        service.add(OTHERS_QUEUE, 7)
