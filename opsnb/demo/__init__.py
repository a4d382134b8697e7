"""The demo stack: real PostgreSQL, Valkey and a Node.js service, to learn and to test on."""
