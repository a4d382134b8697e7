/** Where the service finds what it depends on. */

import { readFileSync } from "node:fs";

export interface Settings {
  port: number;
  redisUrl: string;
  databaseUrl: string;
  logFile: string;
  accessLogFile: string;
  /** A folder in which a file's name switches a fault on. */
  faultsFolder: string;
  /** While this file is there, nobody uses the service. */
  quietFile: string;
  /** Where the worker writes its pid once it takes jobs. */
  readyFile: string;
}

/**
 * Read the settings from the JSON file that SERVICE_SETTINGS names.
 *
 * A file, not variables: whatever is in a process's environment, `pm2 jlist` prints.
 */
function readSettings(): Settings {
  const path = process.env.SERVICE_SETTINGS;
  if (path === undefined) {
    throw new Error("SERVICE_SETTINGS does not name the service's settings file");
  }
  return JSON.parse(readFileSync(path, "utf8")) as Settings;
}

export const settings = readSettings();

export const version: string = JSON.parse(
  readFileSync(new URL("../package.json", import.meta.url), "utf8"),
).version;
