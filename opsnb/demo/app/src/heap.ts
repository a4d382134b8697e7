/** Tell pm2 how much lives on the heap, as its own agent would. */

const EVERY_MS = 2000;
const MIB = 2 ** 20;

export function reportHeap(): void {
  const report = (): void => {
    const used = (process.memoryUsage().heapUsed / MIB).toFixed(2);
    process.send?.({
      type: "axm:monitor",
      data: { "Used Heap Size": { value: used, unit: "MiB", historic: true } },
    });
  };
  report();
  setInterval(report, EVERY_MS);
}
