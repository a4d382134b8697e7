// The shop's users: orders with ids of their own, flows and requests, until standard input ends.
// It counts what it did, a JSON line each time it is asked for by a line of standard input.
"use strict";
const https = require("node:https");
const { readFileSync } = require("node:fs");
const { createInterface } = require("node:readline");
const { bullmq, redis, settings } = require("./common.cjs");
const { FlowProducer, Queue } = bullmq();

const connection = redis();
const given = { connection, prefix: settings.prefix };
const orders = new Queue("orders.created", given);
const mails = new Queue("send welcome mail", given); // by it BullMQ notes its version
const flows = new FlowProducer(given);
const keep = { removeOnComplete: { count: 50 } };
const agent = new https.Agent({ ca: readFileSync(settings.ca), keepAlive: true });
const PATIENCE_MS = 20_000; // a reload may lose a connection that it has just taken
const done = { orders: 0, mails: 0, answered: 0, refused: 0 };
let goesOn = true;

function ask() {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${settings.token}`, "user-agent": "shop-app/2" };
    const where = { host: "localhost", port: settings.port, path: "/v1/orders" };
    const request = https.get({ ...where, agent, headers, timeout: PATIENCE_MS }, (answer) => {
      answer.resume().on("end", () => resolve(answer.statusCode === 200));
    });
    request.on("timeout", () => request.destroy()).on("error", () => resolve(false));
  });
}

async function once(n) {
  if (n % 10 === 0) {
    const mail = { name: "welcome", queueName: "send welcome mail", data: { n }, opts: keep };
    await flows.add({
      name: "order",
      queueName: "orders.created",
      data: { n },
      opts: { ...keep, jobId: `order-${process.pid}-${n}` },
      children: [mail],
    });
    done.mails += 1;
  } else {
    const opts = { ...keep, jobId: `order-${process.pid}-${n}` };
    await orders.add("order", { n }, n % 7 === 0 ? { ...opts, priority: (n % 3) + 1 } : opts);
  }
  done.orders += 1;
  done[(await ask()) ? "answered" : "refused"] += 1;
}

(async () => {
  await mails.waitUntilReady();
  for (let n = 1; goesOn; n += 1) {
    await once(n);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  process.stdout.write(JSON.stringify(done) + "\n");
  process.exit(0);
})();

createInterface({ input: process.stdin })
  .on("line", () => process.stdout.write(JSON.stringify(done) + "\n"))
  .on("close", () => (goesOn = false));
