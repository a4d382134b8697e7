/** The API process. */

import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { ExpressAdapter } from "@bull-board/express";
import express, { type NextFunction, type Request, type Response } from "express";
import { setTimeout as sleep } from "node:timers/promises";
import { analysisRoutes } from "./routes/analysis.js";
import { cacheRoutes } from "./routes/cache.js";
import { projectRoutes } from "./routes/projects.js";
import { queueRoutes } from "./routes/queues.js";
import { dependencies, redis, Unavailable, using, watchDependencies } from "./dependencies.js";
import { faultSinceStart } from "./faults.js";
import { reportHeap } from "./heap.js";
import { startLeak } from "./leak.js";
import { log, logRequest, reason } from "./log.js";
import { queueManager } from "./queues/queue.config.js";
import { settings, version } from "./settings.js";
import { startTraffic } from "./traffic.js";

const SLOW_MS = 1500;

const app = express();
app.disable("x-powered-by");

app.use((request, response, next) => {
  const began = performance.now();
  response.on("finish", () => {
    const { method, originalUrl } = request;
    logRequest(method, originalUrl, response.statusCode, performance.now() - began);
  });
  next();
});

app.use(async (_request, _response, next) => {
  if (faultSinceStart("api-slow")) {
    await sleep(SLOW_MS);
  }
  next();
});

app.get("/health", (_request, response) => {
  const known = dependencies();
  const healthy = Object.values(known).every((state) => state === "ok");
  response.json({
    status: healthy ? "ok" : "degraded",
    version,
    uptime_s: Math.round(process.uptime() * 10) / 10,
    dependencies: known,
  });
});

app.use(express.json({ limit: "16kb" }));
app.use("/api/queue", queueRoutes);
app.use("/api/cache", cacheRoutes);
app.use("/api/projects", projectRoutes);
app.use("/api/analysis", analysisRoutes);

const board = new ExpressAdapter();
board.setBasePath("/admin/queues");
createBullBoard({
  queues: queueManager.names.map((name) => new BullMQAdapter(queueManager.getQueue(name))),
  serverAdapter: board,
});
app.use(
  "/admin/queues",
  async (_request: Request, _response: Response, next: NextFunction) => {
    // The dashboard itself would wait for Redis as long as it takes.
    await using("redis", () => redis.ping());
    next();
  },
  board.getRouter(),
);

app.use((request, response) => {
  response.status(404).json({ error: `no such path: ${request.method} ${request.path}` });
});

app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
  if (response.headersSent) {
    response.destroy();
  } else if (error instanceof Unavailable) {
    response.status(503).json({ error: error.message, dependency: error.dependency });
  } else if (isClientError(error)) {
    response.status(error.status).json({ error: error.message });
  } else {
    log("ERROR", `${request.method} ${request.path} failed: ${reason(error)}`);
    response.status(500).json({ error: "internal error" });
  }
});

function isClientError(error: unknown): error is Error & { status: number } {
  const status = (error as { status?: unknown }).status;
  return error instanceof Error && typeof status === "number" && status >= 400 && status < 500;
}

await watchDependencies();

const server = app.listen(settings.port, "127.0.0.1", (error?: Error) => {
  if (error !== undefined) {
    log("ERROR", `cannot listen on port ${settings.port}: ${reason(error)}`);
    process.exit(1);
  }
  log("INFO", `API ${version} listens on 127.0.0.1:${settings.port}`);
  startTraffic();
  startLeak();
  reportHeap();
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    log("INFO", "API stops");
    server.close(() => process.exit(0));
    server.closeAllConnections();
  });
}
