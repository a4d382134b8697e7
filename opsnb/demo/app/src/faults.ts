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
  | "slow-statement";

export function faultActive(name: Fault): boolean {
  return existsSync(join(settings.faultsFolder, name));
}

/** When the fault was injected, in ms since 1970; undefined when it was not. */
export function faultSince(name: Fault): number | undefined {
  return statSync(join(settings.faultsFolder, name), { throwIfNoEntry: false })?.mtimeMs;
}
