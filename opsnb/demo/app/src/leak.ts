/** The fault that lets the process grow: it keeps what it no longer needs. */

import { faultSinceStart } from "./faults.js";

const EVERY_MS = 200;
const MIB = 2 ** 20;
/** What is kept each time: 5 MiB a second. */
const STEP = MIB;
/** A drill that nobody ends is not to take the machine's memory. */
const MOST = 1500 * MIB;

export function startLeak(): void {
  let kept: Buffer[] = [];
  setInterval(() => {
    if (!faultSinceStart("memory-leak")) {
      kept = [];
    } else if (kept.length * STEP < MOST) {
      kept.push(Buffer.alloc(STEP, 1));
    }
  }, EVERY_MS);
}
