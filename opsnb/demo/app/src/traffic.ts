/** A trickle of users, so that rates and charts are alive; and the fault that floods the log. */

import { existsSync } from "node:fs";
import { warmCache, projectKey, analysisKey, cacheService } from "./cache.js";
import { eventsOf } from "./database.js";
import { dependencies, using } from "./dependencies.js";
import { faultActive } from "./faults.js";
import { log } from "./log.js";
import { queueManager, QueueName } from "./queues/queue.config.js";
import { settings } from "./settings.js";

const TICK_MS = 1000;
const HOT = 100;
/** How often a second somebody looks at the overview. */
const OVERVIEWS = 2;
const SCENES = 3000;
/** Users give up on a queue as long as this; it keeps an outage of the worker small. */
const IMPATIENCE = 40;
const ERRORS_A_TICK = 80;

const pick = (n: number): number => 1 + Math.floor(Math.random() * n);

async function request(method: "GET" | "POST", path: string, body?: unknown): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${settings.port}${path}`, {
    method,
    signal: AbortSignal.timeout(5000),
    ...(body !== undefined && {
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    }),
  });
  await response.arrayBuffer();
}

async function browse(): Promise<void> {
  await request("GET", `/api/projects/${pick(HOT)}`);
  await request("GET", "/api/projects");
  for (let i = 0; i < OVERVIEWS; i += 1) {
    await overview();
  }
  if (faultActive("slow-statement")) {
    await Promise.all([eventsOf(pick(SCENES)), eventsOf(pick(SCENES))]);
  }
}

/** Many keys in one read; only every fifth scene has no analysis to be cached. */
async function overview(): Promise<void> {
  const ids = Array.from({ length: HOT }, (_, i) => i + 1);
  const keys = [...ids.map(projectKey), ...ids.filter((id) => id % 5 !== 0).map(analysisKey)];
  const cached = await cacheService.getMany(keys);
  const missing = cached.filter((value) => value === null).length;
  if (missing > keys.length / 4 && !faultActive("cold-cache")) {
    await warmCache(HOT);
  }
}

async function order(tick: number): Promise<void> {
  const stats = await using("redis", () => queueManager.getAllStats());
  const room = (name: QueueName): boolean =>
    stats.some((queue) => queue.name === name && queue.waiting < IMPATIENCE);
  if (room(QueueName.AI_ANALYSIS)) {
    await request("POST", "/api/analysis", { scene_id: pick(SCENES) });
  }
  if (tick % 5 === 0 && room(QueueName.EXPORTS)) {
    const project = pick(HOT);
    await using("redis", () =>
      queueManager.getQueue(QueueName.EXPORTS).add("export", { project_id: project }),
    );
  }
  if (tick % 3 === 0 && room(QueueName.NOTIFICATIONS)) {
    await using("redis", () =>
      queueManager.getQueue(QueueName.NOTIFICATIONS).add("notify", { user_id: pick(500) }),
    );
  }
}

export function startTraffic(): void {
  let tick = 0;
  const once = async (): Promise<void> => {
    tick += 1;
    if (faultActive("log-errors")) {
      for (let i = 0; i < ERRORS_A_TICK; i += 1) {
        log("ERROR", `upstream model endpoint answered 502 for scene ${pick(SCENES)}`);
      }
    }
    const { redis, postgres } = dependencies();
    if (redis === "ok" && postgres === "ok" && !existsSync(settings.quietFile)) {
      try {
        await browse();
        await order(tick);
      } catch {
        // A user who met an error comes back later; the watch has logged the cause.
      }
    }
    setTimeout(once, TICK_MS);
  };
  void once();
}
