"""Changes that need several systems: deployment, repair of data, maintenance."""
