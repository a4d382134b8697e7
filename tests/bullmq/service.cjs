// What stands behind tests/bullmq/__init__.py: one JSON command a line, one JSON answer a line.
"use strict";
const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");

const here = createRequire(process.cwd() + "/");
const { Queue, Worker, FlowProducer } = here("bullmq");
const { Redis } = here("ioredis");

const { url, prefix } = JSON.parse(process.argv[2]);
const connection = new Redis(url, { maxRetriesPerRequest: null });
connection.on("error", (error) => console.error(String(error)));
const options = { connection, prefix };

const queues = new Map();
const workers = new Map(); // queue -> its workers
const runs = new Map(); // queue -> job -> how often it began, completed, failed
const held = new Map(); // queue -> [promise, release]

const make = (map, name, made) => map.get(name) ?? map.set(name, made()).get(name);
const queue = (name) => make(queues, name, () => new Queue(name, options));
const gate = (name) =>
  make(held, name, () => {
    let release;
    return [new Promise((resolve) => (release = resolve)), () => release()];
  });

function ran(name, job, what) {
  const counted = make(make(runs, name, () => new Map()), job, () => ({}));
  counted[what] = (counted[what] ?? 0) + 1;
}

function started(name, given) {
  const run = async (job) => {
    ran(name, job.id, "began");
    const { ms = 0, fail = false, hold = false } = job.data;
    if (ms) await new Promise((resolve) => setTimeout(resolve, ms));
    if (hold) await gate(name)[0];
    if (typeof fail === "number" ? job.attemptsMade < fail : fail) {
      throw new Error(typeof fail === "string" ? fail : "boom");
    }
    return job.id;
  };
  const worker = new Worker(name, run, { ...options, ...given });
  worker.on("error", (error) => console.error(String(error)));
  worker.on("completed", (job) => ran(name, job.id, "completed"));
  worker.on("failed", (job) => job && ran(name, job.id, "failed"));
  return worker;
}

const family = (node) => ({ id: node.job.id, children: (node.children ?? []).map(family) });
const plain = (result) => {
  if (Array.isArray(result)) return result.map(plain);
  return result?.asJSON ? result.asJSON() : (result ?? null);
};

const commands = {
  add: async ({ queue: name, count, name: job, data, options: given }) => {
    const jobs = Array.from({ length: count }, () => ({ name: job, data, opts: given }));
    return (await queue(name).addBulk(jobs)).map((made) => made.id);
  },
  flow: async ({ tree }) => {
    const producer = new FlowProducer(options);
    return family(await producer.add(tree));
  },
  work: async ({ queue: name, options: given }) => {
    const worker = started(name, given);
    make(workers, name, () => []).push(worker);
    await worker.waitUntilReady();
  },
  release: async ({ queue: name }) => gate(name)[1](),
  stop: async ({ queue: name }) => {
    await Promise.all((workers.get(name) ?? []).map((worker) => worker.close()));
    workers.delete(name);
  },
  runs: async ({ queue: name }) => Object.fromEntries(runs.get(name) ?? []),
  queue: async ({ queue: name, method, arguments: given }) =>
    plain(await queue(name)[method](...given)),
  job: async ({ queue: name, job: id, method, arguments: given }) => {
    const job = await queue(name).getJob(id);
    if (!job) throw new Error(`no job ${id} in ${name}`);
    return plain(await job[method](...given));
  },
  ids: async ({ queue: name, states }) =>
    (await queue(name).getJobs(states)).map((job) => job?.id ?? "a job without data"),
};

async function answer(line) {
  try {
    const { do: command, ...given } = JSON.parse(line);
    return { result: (await commands[command](given)) ?? null };
  } catch (error) {
    return { error: String(error) };
  }
}

(async () => {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(line)) + "\n");
  }
  process.exit(0);
})();
