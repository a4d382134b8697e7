// Asks the running shop which release it is, and compares it with the working copy's.
"use strict";
const https = require("node:https");
const { readFileSync } = require("node:fs");
const { settings } = require("./common.cjs");

const wanted = readFileSync(settings.release, "utf8").trim();
const given = {
  host: "localhost",
  port: settings.port,
  path: "/healthz",
  ca: readFileSync(settings.ca),
  headers: { authorization: `Bearer ${settings.token}` },
};
https.get(given, (answer) => {
  let body = "";
  answer.on("data", (part) => (body += part)).on("end", () => {
    const { release } = JSON.parse(body);
    process.stdout.write(`${release}\n`);
    process.exit(release === wanted ? 0 : 1);
  });
});
