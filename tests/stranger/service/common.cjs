// What the shop's processes share: settings, clients, and a log in the format of pino.
"use strict";
const { createRequire } = require("node:module");
const { appendFileSync, readFileSync } = require("node:fs");
const os = require("node:os");

const settings = JSON.parse(readFileSync(process.env.SHOP_SETTINGS, "utf8"));
const bullmq = createRequire(settings.bullmq + "/");
const pg = createRequire(settings.app + "/");

const LEVELS = { info: 30, warn: 40, error: 50 };

function log(level, msg, more = {}) {
  const line = { level: LEVELS[level], time: Date.now(), pid: process.pid, hostname: os.hostname() };
  appendFileSync(settings.log, JSON.stringify({ ...line, ...more, msg }) + "\n");
}

function redis() {
  const { Redis } = bullmq("ioredis");
  const client = new Redis(settings.redis, { maxRetriesPerRequest: null });
  client.on("error", (err) => log("error", "redis", { err: { message: String(err) } }));
  return client;
}

function database() {
  const { Pool } = pg("pg");
  const pool = new Pool({ connectionString: settings.database, max: 2, application_name: "shop" });
  pool.on("error", (err) => log("error", "database", { err: { message: String(err) } }));
  return pool;
}

module.exports = { settings, bullmq: () => bullmq("bullmq"), database, log, redis };
