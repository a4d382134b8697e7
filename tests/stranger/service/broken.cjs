// A process that pm2 cannot keep up.
"use strict";
process.exit(1);
