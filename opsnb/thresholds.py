"""The handbook's limits, once: every check, chart and page reads them here.

Sources: sections 1 (expected results of the daily check), 4 and 5 (symptoms), 7.1 (queue alerts)
and 7.3 (the table of alert thresholds) of the operations handbook. Where section 1 gives a single
limit, passing it is a warning: the handbook names nothing worse. Metrics that the handbook looks at
without giving a limit have a customary one, marked `opsnb` as its source.
"""

from __future__ import annotations

from opsnb.model import Threshold

HANDBOOK: dict[str, Threshold] = {
    threshold.metric: threshold
    for threshold in (
        Threshold(
            metric="api_response_ms",
            label="API response time, median",
            unit="ms",
            warn=100,
            inclusive=True,
            source="1",
            action="Investigate performance",
        ),
        Threshold(
            metric="api_p95_ms",
            label="API response time, P95",
            unit="ms",
            warn=500,
            crit=1000,
            source="7.3",
            action="Investigate performance",
        ),
        Threshold(
            metric="error_rate_percent",
            label="Error rate",
            unit="%",
            warn=2,
            crit=5,
            source="7.3",
            action="Check logs, roll back if needed",
        ),
        Threshold(
            metric="log_errors",
            label="Errors in the log, last hour",
            unit="lines",
            warn=10,
            inclusive=True,
            source="1",
            action="Check logs",
        ),
        Threshold(
            metric="queue_waiting",
            label="Queue length",
            unit="jobs",
            warn=100,
            crit=500,
            source="7.3",
            action="Increase workers, pause queues",
        ),
        Threshold(
            metric="queue_failed_percent",
            label="Failed share of a queue's jobs",
            unit="%",
            crit=5,
            source="7.1",
            action="Find the error pattern, then retry",
        ),
        Threshold(
            metric="cache_hit_percent",
            label="Cache hit rate",
            unit="%",
            warn=70,
            crit=50,
            lower_is_worse=True,
            source="7.3",
            action="Review cache strategy",
        ),
        Threshold(
            metric="disk_used_percent",
            label="Disk space used",
            unit="%",
            warn=80,
            crit=90,
            source="7.3",
            action="Clean logs, increase space",
        ),
        Threshold(
            metric="memory_used_percent",
            label="Memory used",
            unit="%",
            warn=80,
            inclusive=True,
            source="1",
            action="Restart services, look for leaks",
        ),
        Threshold(
            metric="database_connections_percent",
            label="Connections in use",
            unit="%",
            warn=80,
            crit=95,
            source="opsnb",
            action="End idle sessions, look for a leak in the service's pool",
        ),
        Threshold(
            metric="database_cache_hit_percent",
            label="Blocks found in shared_buffers",
            unit="%",
            warn=90,
            lower_is_worse=True,
            source="opsnb",
            action="Raise shared_buffers, find what scans whole tables",
        ),
        Threshold(
            metric="database_unused_index_mib",
            label="Indexes never read",
            unit="MiB",
            warn=1024,
            source="opsnb",
            action="Drop them, after a look at the replicas",
        ),
        Threshold(
            metric="database_bloat_percent",
            label="Estimated bloat",
            unit="%",
            warn=50,
            source="opsnb",
            action="VACUUM; pg_repack or VACUUM FULL in a maintenance window",
        ),
        Threshold(
            metric="database_xid_age_percent",
            label="Transaction ids used up",
            unit="%",
            warn=40,
            crit=75,
            source="opsnb",
            action="VACUUM the oldest tables, end old transactions and replication slots",
        ),
        Threshold(
            metric="database_statement_ms",
            label="Mean time of a statement",
            unit="ms",
            warn=100,
            source="4.1",
            action="EXPLAIN ANALYZE it; add the missing index",
        ),
    )
}
