"""What `opsnb doctor` checks of this system."""

from opsnb.checks.probe import Probe
from opsnb.systems import database

_DOWN = "Start PostgreSQL, or correct database_url."

PROBES = (
    Probe(
        database.ping,
        tried=lambda target: f"SELECT 1 on {target.describe()['database']}",
        down=_DOWN,
        key="database_url",
    ),
    Probe(
        database.statements,
        tried=lambda _: "pg_stat_statements",
        down=_DOWN,
        key="database_url",
    ),
    Probe(
        database.pg_dump,
        tried=lambda target: f"{database.Program(target, 'pg_dump').path} --version",
        down=_DOWN,
        found="Install the server's version of the client programs, or set pg_bin to their folder.",
        key="database_url",
    ),
)
