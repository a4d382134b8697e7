/** One log for both processes: an ISO 8601 stamp, a level, the process, the message. */

import { appendFileSync } from "node:fs";
import { settings } from "./settings.js";

export type Level = "INFO" | "WARN" | "ERROR";

const processName = process.env.name ?? "cli";

export function log(level: Level, message: string): void {
  // Synchronous and in append mode, so that lines of two processes never mix.
  appendFileSync(
    settings.logFile,
    `${new Date().toISOString()} ${level} ${processName} ${message}\n`,
  );
}

/** Driver messages may quote a URL; no password may reach the log. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replaceAll(/\/\/[^@\s/]*@/g, "//***@").replaceAll(/\s+/g, " ");
}
