// The shop's HTTPS API: a bearer token for everything, its own health path, no word of queues.
"use strict";
const https = require("node:https");
const { appendFile, readFileSync } = require("node:fs");
const { database, log, redis, settings } = require("./common.cjs");

const pool = database();
const cache = redis();
const release = readFileSync(settings.release, "utf8").trim();

async function orders() {
  const key = "page:en:orders";
  const known = await cache.get(key);
  if (known !== null) return known;
  const { rows } = await pool.query('SELECT count(*)::int AS orders FROM sales."Customer Orders"');
  const page = JSON.stringify(rows[0]);
  await cache.set(key, page, "EX", 5);
  return page;
}

const routes = {
  "/healthz": async () => JSON.stringify({ status: "ok", release }),
  "/v1/orders": orders,
};

async function answer(request) {
  if (request.headers.authorization !== `Bearer ${settings.token}`) return [401, "{}"];
  const route = routes[request.url];
  if (!route || request.method !== "GET") return [404, '{"error":"not found"}'];
  try {
    return [200, await route()];
  } catch (err) {
    log("error", "request failed", { err: { type: err.name, message: err.message }, url: request.url });
    return [500, "{}"];
  }
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

// As nginx writes it: the log format `combined`.
function combined(request, status, size) {
  const [year, month, day, time] = new Date().toISOString().replace("T", "-").split(/[-.]/);
  const agent = request.headers["user-agent"] ?? "-";
  const line = `${request.method} ${request.url} HTTP/${request.httpVersion}`;
  return `127.0.0.1 - - [${day}/${MONTHS[month - 1]}/${year}:${time} +0000] "${line}" ${status} ${size} "-" "${agent}"\n`;
}

const tls = { key: readFileSync(settings.key), cert: readFileSync(settings.certificate) };
const server = https
  .createServer(tls, async (request, response) => {
    const [status, body] = await answer(request);
    response.writeHead(status, { "content-type": "application/json" }).end(body);
    appendFile(settings.accessLog, combined(request, status, body.length), () => {});
  })
  .listen(settings.port, "127.0.0.1", () => log("info", "listening"));

process.on("SIGINT", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
