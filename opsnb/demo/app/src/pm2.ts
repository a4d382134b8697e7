/**
 * The pm2 command, without its habit of starting a daemon when there is none.
 *
 * Asking what runs must never start anything, and an empty list from a fresh daemon would hide
 * that the real one is gone.
 */

import { connect } from "node:net";
import { join } from "node:path";

const home = process.env.PM2_HOME;
if (home === undefined) {
  throw new Error("PM2_HOME does not name the folder of a pm2 daemon");
}

const alive = await new Promise<boolean>((resolve) => {
  const socket = connect(join(home, "rpc.sock"));
  socket.once("connect", () => {
    socket.destroy();
    resolve(true);
  });
  socket.once("error", () => resolve(false));
});

if (!alive) {
  console.error(`The pm2 daemon of ${home} does not run.`);
  process.exit(1);
}
// @ts-expect-error pm2's command line has no types; loading it runs it.
await import("pm2/bin/pm2");
