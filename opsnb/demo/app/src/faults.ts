/** Faults that live inside the service. Each is a file, so that it outlives a restart. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { settings } from "./settings.js";

export type Fault =
  | "api-slow"
  | "cold-cache"
  | "failing-jobs"
  | "log-errors"
  | "queue-backlog"
  | "short-ttls"
  | "slow-statement";

export function faultActive(name: Fault): boolean {
  return existsSync(join(settings.faultsFolder, name));
}
