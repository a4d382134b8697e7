// The shop's workers: one with a name, one with a limit of its rate, one that always fails.
"use strict";
const { bullmq, database, log, redis, settings } = require("./common.cjs");
const { Worker } = bullmq();

const pool = database();
const connection = redis();
const given = { connection, prefix: settings.prefix };

const count = (queue) => async (job) => {
  await pool.query("INSERT INTO sales.done (queue, job) VALUES ($1, $2)", [queue, job.id]);
};

const workers = [
  new Worker("orders.created", count("orders.created"), { ...given, name: "orders-1", concurrency: 2 }),
  new Worker("send welcome mail", count("send welcome mail"), {
    ...given,
    limiter: { max: 200, duration: 1000 },
  }),
];
for (const worker of workers) {
  worker.on("error", (err) => log("error", "worker", { err: { message: String(err) } }));
}
log("info", "working");

process.on("SIGINT", async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  process.exit(0);
});
