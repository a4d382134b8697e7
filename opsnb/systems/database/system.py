"""How opsnb knows this system."""

from opsnb.config.systems import System
from opsnb.systems.database.settings import Database

DATABASE = System(
    name="database",
    title="PostgreSQL",
    settings=Database,
    shorthands={"database_url": "url", "pg_bin": "programs", "integrity": "integrity"},
)
