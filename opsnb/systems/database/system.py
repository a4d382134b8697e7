"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.database.settings import Database

DATABASE = System(
    name="database",
    title="PostgreSQL",
    settings=Database,
    address="url",
    shorthands={
        "database_url": "url",
        "pg_bin": "programs",
        "integrity": "integrity",
        "restart.postgres": "restart",
    },
    variables={"url": "DATABASE_URL"},
    probes="opsnb.systems.database.doctor:PROBES",
    dependency="opsnb.systems.database.starting:dependency",
)
