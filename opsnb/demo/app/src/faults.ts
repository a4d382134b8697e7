/** Faults that live inside the service. Each is a file, so that it outlives a restart. */

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { settings } from "./settings.js";

export type Fault =
  | "api-slow"
  | "cold-cache"
  | "failing-jobs"
  | "log-errors"
  | "memory-leak"
  | "queue-backlog"
  | "short-ttls"
  | "slow-statement"
  | "stuck-job";

export function faultActive(name: Fault): boolean {
  return existsSync(join(settings.faultsFolder, name));
}

const started = Date.now() - process.uptime() * 1000;

/** Whether the fault came over this very process: one that was started after it is free of it. */
export function faultSinceStart(name: Fault): boolean {
  const since = statSync(join(settings.faultsFolder, name), { throwIfNoEntry: false })?.mtimeMs;
  return since !== undefined && since > started;
}
