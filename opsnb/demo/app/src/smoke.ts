/** `npm run test:smoke`: ask a running service for what its users need; exit 1 when one fails. */

import { settings } from "./settings.js";

const PATHS = ["/health", "/api/queue/stats", "/api/projects", "/api/analysis", "/admin/queues"];

let failures = 0;
for (const path of PATHS) {
  let outcome: string;
  let passed = false;
  try {
    const response = await fetch(`http://127.0.0.1:${settings.port}${path}`, {
      signal: AbortSignal.timeout(5000),
    });
    passed = response.ok;
    outcome = String(response.status);
    if (path === "/health" && passed) {
      const { status } = (await response.json()) as { status: string };
      passed = status === "ok";
      outcome += ` ${status}`;
    }
  } catch (error) {
    outcome = error instanceof Error ? error.message : String(error);
  }
  console.log(`${passed ? "pass" : "FAIL"} ${path} ${outcome}`);
  failures += passed ? 0 : 1;
}
process.exitCode = failures === 0 ? 0 : 1;
