/** The queues, and what operations does with them. */

import { Queue, Worker, type JobsOptions, type Processor, type WorkerOptions } from "bullmq";
import { redis, toTheWatch, using, workerConnection } from "../dependencies.js";

export enum QueueName {
  AI_ANALYSIS = "ai-analysis",
  EXPORTS = "exports",
  NOTIFICATIONS = "notifications",
}

export interface QueueStats {
  name: QueueName;
  waiting: number;
  active: number;
  completed: number;
  failed: number;
  delayed: number;
  paused: boolean;
  total: number;
}

const DAY_S = 24 * 3600;

/** Finished jobs are kept for a while to look at, never without bound. */
const RETENTION: JobsOptions = {
  removeOnComplete: { count: 200, age: DAY_S },
  removeOnFail: { count: 2000, age: 7 * DAY_S },
};

/** How many jobs one call to Redis may clean, so that nothing else waits long. */
const CLEAN_BATCH = 1000;

class QueueManager {
  private readonly queues = new Map<string, Queue>();

  get names(): QueueName[] {
    return Object.values(QueueName);
  }

  has(name: string): name is QueueName {
    return (this.names as string[]).includes(name);
  }

  getQueue(name: QueueName): Queue {
    let queue = this.queues.get(name);
    if (queue === undefined) {
      queue = new Queue(name, { connection: redis, defaultJobOptions: RETENTION });
      queue.on("error", toTheWatch);
      this.queues.set(name, queue);
    }
    return queue;
  }

  async pauseQueue(name: QueueName): Promise<void> {
    await this.getQueue(name).pause();
  }

  async resumeQueue(name: QueueName): Promise<void> {
    await this.getQueue(name).resume();
  }

  /** Remove failed jobs older than `graceMs` milliseconds; returns how many. */
  async cleanQueue(name: QueueName, graceMs: number): Promise<number> {
    let removed = 0;
    for (;;) {
      const batch = await using("redis", () =>
        this.getQueue(name).clean(graceMs, CLEAN_BATCH, "failed"),
      );
      removed += batch.length;
      if (batch.length < CLEAN_BATCH) {
        return removed;
      }
    }
  }

  async getQueueStats(name: QueueName): Promise<QueueStats> {
    const queue = this.getQueue(name);
    const [counts, paused] = await Promise.all([
      queue.getJobCounts("wait", "prioritized", "active", "completed", "failed", "delayed"),
      queue.isPaused(),
    ]);
    const of = (state: string): number => counts[state] ?? 0;
    const waiting = of("wait") + of("prioritized");
    return {
      name,
      waiting,
      active: of("active"),
      completed: of("completed"),
      failed: of("failed"),
      delayed: of("delayed"),
      paused,
      total: waiting + of("active") + of("completed") + of("failed") + of("delayed"),
    };
  }

  async getAllStats(): Promise<QueueStats[]> {
    return Promise.all(this.names.map((name) => this.getQueueStats(name)));
  }

  registerWorker(
    name: QueueName,
    processor: Processor,
    options: Pick<WorkerOptions, "concurrency">,
  ): Worker {
    const worker = new Worker(name, processor, {
      ...options,
      connection: workerConnection(),
      // A job whose worker was killed goes back to the queue, not to the failed ones.
      maxStalledCount: 10,
      // It does so soon: the other jobs behind it wait for that.
      lockDuration: 10_000,
      stalledInterval: 5_000,
    });
    worker.on("error", toTheWatch);
    return worker;
  }
}

export const queueManager = new QueueManager();
