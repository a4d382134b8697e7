/** Redis and PostgreSQL, and a background watch that knows at any moment which of them answers. */

import { Redis } from "ioredis";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { log, reason } from "./log.js";
import { settings } from "./settings.js";

export type Dependency = "redis" | "postgres";

/** How long anything may wait for a dependency, in milliseconds. */
const PATIENCE_MS = 700;
const PROBE_EVERY_MS = 1000;
/** One late answer is a busy machine; two in a row are an outage. */
const LATE_ANSWERS = 2;

export class Unavailable extends Error {
  constructor(readonly dependency: Dependency) {
    super(`${dependency} is not available`);
  }
}

const reconnect = (attempt: number): number => Math.min(attempt * 100, 1000);

/** For requests: refuses at once while disconnected instead of queueing commands. */
export const redis = new Redis(settings.redisUrl, {
  enableOfflineQueue: false,
  maxRetriesPerRequest: null,
  retryStrategy: reconnect,
});

/** For workers, which wait for Redis as long as it takes. */
export function workerConnection(): Redis {
  const connection = new Redis(settings.redisUrl, {
    maxRetriesPerRequest: null,
    retryStrategy: reconnect,
  });
  connection.on("error", toTheWatch);
  return connection;
}

export const pool = new pg.Pool({
  connectionString: settings.databaseUrl,
  max: 5,
  connectionTimeoutMillis: 3 * PATIENCE_MS,
  // Longer than anybody waits, so that whoever asked sees one limit, and still bounded.
  query_timeout: 3 * PATIENCE_MS,
  // The server gives up too: else a session that waits for a lock outlives whoever asked.
  statement_timeout: 2.5 * PATIENCE_MS,
  application_name: process.env.name ?? "cli",
});

/** Every lost connection is reported here; the watch says it once an outage. */
export function toTheWatch(): void {}

redis.on("error", toTheWatch);
pool.on("error", toTheWatch);
pool.on("connect", (client) => client.on("error", toTheWatch));

const state: Record<Dependency, "ok" | "down"> = { redis: "down", postgres: "down" };

export function dependencies(): Readonly<Record<Dependency, "ok" | "down">> {
  return state;
}

/** Do `work` with a dependency, or throw `Unavailable` within about a second. */
export async function using<T>(dependency: Dependency, work: () => Promise<T>): Promise<T> {
  if (state[dependency] === "down") {
    throw new Unavailable(dependency);
  }
  try {
    return await withinPatience(work());
  } catch (error) {
    if (isConnectionTrouble(error)) {
      throw new Unavailable(dependency);
    }
    throw error;
  }
}

class OutOfPatience extends Error {}

async function withinPatience<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(
      // An answer that came while this process itself was busy is read before the limit counts.
      () => setImmediate(() => reject(new OutOfPatience(`no answer within ${PATIENCE_MS} ms`))),
      PATIENCE_MS,
    );
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** SQLSTATE classes in which the server, not the statement, is at fault. */
const SERVER_TROUBLE = /^(08|53|57)/;

function isConnectionTrouble(error: unknown): boolean {
  if (!(error instanceof Error)) {
    return false;
  }
  const code = (error as NodeJS.ErrnoException).code ?? "";
  return (
    error instanceof Unavailable ||
    error instanceof OutOfPatience ||
    /^E[A-Z]+$/.test(code) ||
    SERVER_TROUBLE.test(code) ||
    /timeout|terminated|connection|writeable/i.test(error.message)
  );
}

const late: Record<Dependency, number> = { redis: 0, postgres: 0 };

async function probe(dependency: Dependency, ask: () => Promise<unknown>): Promise<void> {
  let now: "ok" | "down" = "ok";
  let why = "";
  try {
    await withinPatience(ask());
    late[dependency] = 0;
  } catch (error) {
    late[dependency] += 1;
    if (error instanceof OutOfPatience && late[dependency] < LATE_ANSWERS) {
      return;
    }
    now = "down";
    why = reason(error);
  }
  if (now !== state[dependency]) {
    state[dependency] = now;
    if (now === "ok") {
      log("INFO", `${dependency} answers`);
    } else {
      log("WARN", `${dependency} lost: ${why}`);
    }
  }
}

async function pingRedis(): Promise<void> {
  if (redis.status !== "ready") {
    throw new Error("no connection");
  }
  await redis.ping();
}

/** Probe both now and then every second, for as long as the process lives. */
export async function watchDependencies(): Promise<void> {
  const once = async (): Promise<void> => {
    await Promise.all([
      probe("redis", pingRedis),
      probe("postgres", () => pool.query("SELECT 1")),
    ]);
    setTimeout(once, PROBE_EVERY_MS);
  };
  await Promise.race([new Promise((ready) => redis.once("ready", ready)), sleep(PATIENCE_MS)]);
  await once();
}
