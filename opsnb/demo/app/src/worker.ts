/** The worker process. */

import { DelayedError, type Job, type Worker } from "bullmq";
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ANALYSIS_TTL_S, analysisKey, cacheService } from "./cache.js";
import { saveAnalysis, scenesOf } from "./database.js";
import { Unavailable, watchDependencies } from "./dependencies.js";
import { faultActive } from "./faults.js";
import { reportHeap } from "./heap.js";
import { log, reason } from "./log.js";
import { queueManager, QueueName } from "./queues/queue.config.js";
import { settings, version } from "./settings.js";

const REPORT_EVERY_MS = 10_000;
const HEAVY_JOB_MS = 2000;
/** The jobs that a fault adds. */
const DRILL = "drill";
const RETRY_MS = 2000;
/** Less than pm2 waits before it kills. */
const PATIENCE_MS = 2000;

type Work = (job: Job) => Promise<unknown>;

async function analyse(job: Job<{ scene_id: number }>): Promise<unknown> {
  // The upstream's answers to one batch were broken; asked again, it answers well.
  if (faultActive("failing-jobs") && job.name === DRILL && job.attemptsMade === 0) {
    throw new Error("model answer is not valid JSON");
  }
  // Of a batch of heavy jobs each takes a while, or until the fault is cleared.
  const heavyUntil = Date.now() + (job.name === DRILL ? HEAVY_JOB_MS : 0);
  while (faultActive("queue-backlog") && Date.now() < heavyUntil) {
    await sleep(200);
  }
  await sleep(20);
  const scene = job.data.scene_id;
  const analysis = await saveAnalysis(scene, Math.round(Math.random() * 100) / 100);
  if (analysis !== undefined) {
    await cacheService.set(analysisKey(scene), analysis, ANALYSIS_TTL_S);
  }
  return analysis?.id;
}

async function exportProject(job: Job<{ project_id: number }>): Promise<unknown> {
  // Nobody has set a limit to this call of another's service, and that never answers; asked anew,
  // it does.
  while (faultActive("stuck-job") && job.name === DRILL && job.attemptsStarted === 1) {
    await sleep(200);
  }
  const scenes = await scenesOf(job.data.project_id);
  await sleep(30);
  return { scenes: scenes.length };
}

async function notify(): Promise<unknown> {
  await sleep(5);
  return { sent: true };
}

/** An outage of a dependency is no fault of the job: it waits a little and comes again. */
function patient(work: Work): (job: Job, token?: string) => Promise<unknown> {
  return async (job, token) => {
    try {
      return await work(job);
    } catch (error) {
      if (error instanceof Unavailable) {
        await job.moveToDelayed(Date.now() + RETRY_MS, token);
        throw new DelayedError();
      }
      throw error;
    }
  };
}

await watchDependencies();

const workers: Worker[] = [
  queueManager.registerWorker(QueueName.AI_ANALYSIS, patient(analyse), { concurrency: 3 }),
  queueManager.registerWorker(QueueName.EXPORTS, patient(exportProject), { concurrency: 1 }),
  queueManager.registerWorker(QueueName.NOTIFICATIONS, patient(notify), { concurrency: 5 }),
];

let completed = 0;
let failed = 0;
let lastReason = "";
for (const worker of workers) {
  worker.on("completed", () => {
    completed += 1;
  });
  worker.on("failed", (_job, error) => {
    failed += 1;
    lastReason = reason(error);
  });
}
setInterval(() => {
  if (failed > 0) {
    log("WARN", `${completed} jobs completed, ${failed} failed, the last: ${lastReason}`);
  } else if (completed > 0) {
    log("INFO", `${completed} jobs completed`);
  }
  completed = 0;
  failed = 0;
}, REPORT_EVERY_MS);

reportHeap();
writeFileSync(settings.readyFile, String(process.pid));
log("INFO", `worker ${version} takes jobs of ${queueManager.names.join(", ")}`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    log("INFO", "worker stops");
    // The jobs of this moment end; one that takes longer is taken up by another worker.
    const closed = Promise.allSettled(workers.map((worker) => worker.close()));
    void Promise.race([closed, sleep(PATIENCE_MS)]).then(() => process.exit(0));
  });
}
