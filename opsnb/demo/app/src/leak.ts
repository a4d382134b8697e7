/** The fault that lets the process grow: it keeps what it no longer needs. */

import { faultSince } from "./faults.js";

const EVERY_MS = 200;
const MIB = 2 ** 20;
/** What is kept each time: 5 MiB a second. */
const STEP = MIB;
/** A drill that nobody ends is not to take the machine's memory. */
const MOST = 1500 * MIB;

/** Leak while the fault is there. A process that was started after it is free of it. */
export function startLeak(): void {
  const started = Date.now() - process.uptime() * 1000;
  let kept: Buffer[] = [];
  setInterval(() => {
    const since = faultSince("memory-leak");
    if (since === undefined || since < started) {
      kept = [];
    } else if (kept.length * STEP < MOST) {
      kept.push(Buffer.alloc(STEP, 1));
    }
  }, EVERY_MS);
}
