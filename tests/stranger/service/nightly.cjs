// A script that pm2 starts by the clock: it leaves a mark each time it runs, and ends well.
"use strict";
const { appendFileSync } = require("node:fs");
const { settings } = require("./common.cjs");
appendFileSync(settings.nightly, "ran\n");
