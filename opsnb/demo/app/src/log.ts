/** One log for both processes: an ISO 8601 stamp, a level, the process, the message. */

import { appendFileSync, renameSync, statSync } from "node:fs";
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

/** Where requests are noted; an older file is kept, and no more. */
const MOST_BYTES = 8 * 2 ** 20;

export function logRequest(method: string, path: string, status: number, ms: number): void {
  const file = settings.accessLogFile;
  const stamp = new Date().toISOString();
  try {
    appendFileSync(file, `${stamp} ${method} ${path} ${status} ${ms.toFixed(1)} ms\n`);
    if (statSync(file).size > MOST_BYTES) {
      renameSync(file, `${file}.1`);
    }
  } catch (error) {
    // The request itself went well.
    log("ERROR", `a request could not be noted: ${reason(error)}`);
  }
}

/** Driver messages may quote a URL; no password may reach the log. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replaceAll(/\/\/[^@\s/]*@/g, "//***@").replaceAll(/\s+/g, " ");
}
