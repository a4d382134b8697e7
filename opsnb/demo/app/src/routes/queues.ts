import { Router, type Request } from "express";
import { using } from "../dependencies.js";
import { log } from "../log.js";
import { queueManager, type QueueName } from "../queues/queue.config.js";

/** The handbook's 24 hours. */
const DEFAULT_GRACE_MS = 24 * 3600 * 1000;

export const queueRoutes = Router();

class ClientError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

function queueOf(request: Request<{ name: string }>): QueueName {
  const { name } = request.params;
  if (!queueManager.has(name)) {
    throw new ClientError(404, `no such queue: ${name} (known: ${queueManager.names.join(", ")})`);
  }
  return name;
}

function graceOf(request: Request): number {
  const body = request.body as { grace?: unknown } | undefined;
  const given = body?.grace ?? request.query.grace;
  if (given === undefined) {
    return DEFAULT_GRACE_MS;
  }
  const grace = typeof given === "string" && given !== "" ? Number(given) : given;
  if (typeof grace !== "number" || !Number.isSafeInteger(grace) || grace < 0) {
    throw new ClientError(400, "grace is a whole number of milliseconds, 0 or more");
  }
  return grace;
}

queueRoutes.get("/stats", async (_request, response) => {
  response.json({ queues: await using("redis", () => queueManager.getAllStats()) });
});

queueRoutes.post("/pause-all", async (_request, response) => {
  await using("redis", () => Promise.all(queueManager.names.map((n) => queueManager.pauseQueue(n))));
  log("INFO", "all queues paused");
  response.json({ queues: queueManager.names, paused: true });
});

queueRoutes.post("/resume-all", async (_request, response) => {
  await using("redis", () => Promise.all(queueManager.names.map((n) => queueManager.resumeQueue(n))));
  log("INFO", "all queues resumed");
  response.json({ queues: queueManager.names, paused: false });
});

queueRoutes.post("/clean-all", async (request, response) => {
  const grace = graceOf(request);
  const cleaned = await Promise.all(
    queueManager.names.map(async (queue) => ({
      queue,
      removed: await queueManager.cleanQueue(queue, grace),
    })),
  );
  log("INFO", `cleaned failed jobs older than ${grace} ms from all queues`);
  response.json({ grace_ms: grace, cleaned });
});

queueRoutes.post("/:name/pause", async (request, response) => {
  const queue = queueOf(request);
  await using("redis", () => queueManager.pauseQueue(queue));
  log("INFO", `queue ${queue} paused`);
  response.json({ queue, paused: true });
});

queueRoutes.post("/:name/resume", async (request, response) => {
  const queue = queueOf(request);
  await using("redis", () => queueManager.resumeQueue(queue));
  log("INFO", `queue ${queue} resumed`);
  response.json({ queue, paused: false });
});

queueRoutes.post("/:name/clean", async (request, response) => {
  const queue = queueOf(request);
  const grace = graceOf(request);
  const removed = await queueManager.cleanQueue(queue, grace);
  log("INFO", `cleaned ${removed} failed jobs older than ${grace} ms from ${queue}`);
  response.json({ queue, grace_ms: grace, removed });
});
