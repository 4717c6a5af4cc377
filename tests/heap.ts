/** How much memory is in use, after everything that nobody holds has been thrown away. */
import process from "node:process";
import v8 from "node:v8";
import vm from "node:vm";

/** Bytes of the heap and of buffers outside of it. */
export function heldBytes(): number {
  v8.setFlagsFromString("--expose-gc");
  const collect: () => void = vm.runInNewContext("gc");
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
