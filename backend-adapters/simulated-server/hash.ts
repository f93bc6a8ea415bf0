/** Small deterministic hashes and a random stream: everything "random" here follows from a seed. */
const FNV_PRIME = 0x01000193;
export const FNV_BASIS = 0x811c9dc5;

/** FNV-1a over 32-bit words: `from` is the hash so far, which makes chains possible. */
export function hash32(from: number, words: Iterable<number>): number {
  let hash = from;
  for (const word of words) {
    hash = Math.imul(hash ^ word, FNV_PRIME);
    // FNV is meant for bytes; the shift lets the high bits of a word reach the low ones.
    hash ^= hash >>> 15;
  }
  return hash >>> 0;
}

/** A mulberry32 stream of numbers in [0, 1). */
export function randomStream(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
