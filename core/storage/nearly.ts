/** Whether `found` is `expected`, but for one bit that may have flipped. Both have the same length. */
export function isNearly(found: Uint8Array, expected: Uint8Array): boolean {
  let wrongBits = 0;
  for (let i = 0; i < expected.length; i++) {
    for (let rest = found[i]! ^ expected[i]!; rest > 0; rest &= rest - 1) wrongBits++;
  }
  return wrongBits <= 1;
}
