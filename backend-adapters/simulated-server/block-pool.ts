/**
 * vLLM's pool of KV blocks: reference counts, and a queue of unreferenced
 * blocks that keep their content until someone needs the room, the one that
 * was released first going first.
 */
export class BlockPool {
  /** The null block, a placeholder for what a window no longer needs, can't be used. */
  readonly usableBlocks: number;
  /** Blocks from here on were never used. */
  #fresh = 0;
  readonly #references = new Map<number, number>();
  readonly #released = new Set<number>();
  readonly #byContent = new Map<number, number>();
  readonly #contentOf = new Map<number, number>();

  constructor(totalBlocks: number) {
    this.usableBlocks = totalBlocks - 1;
  }

  /** Blocks that nobody references, cached ones included. */
  get freeBlocks(): number {
    return this.usableBlocks - this.#references.size;
  }

  /** A block of one's own, its old content forgotten. @throws RangeError where none is free. */
  take(): number {
    const block = this.#fresh < this.usableBlocks ? this.#fresh++ : this.#evict();
    this.#references.set(block, 1);
    return block;
  }

  /** The block that holds `content`, referenced or not; null where it is not cached. */
  find(content: number): number | null {
    return this.#byContent.get(content) ?? null;
  }

  isReferenced(block: number): boolean {
    return this.#references.has(block);
  }

  /** One more reference to a cached block. */
  share(block: number): void {
    this.#released.delete(block);
    this.#references.set(block, (this.#references.get(block) ?? 0) + 1);
  }

  /** One reference less; the last one makes the block free but keeps its content. */
  release(block: number): void {
    const left = (this.#references.get(block) ?? 0) - 1;
    if (left > 0) {
      this.#references.set(block, left);
      return;
    }
    this.#references.delete(block);
    this.#released.add(block);
  }

  /** Makes a full block findable by its content; the first block with a content keeps it. */
  remember(block: number, content: number): void {
    if (this.#byContent.has(content) || this.#contentOf.has(block)) return;
    this.#byContent.set(content, block);
    this.#contentOf.set(block, content);
  }

  #evict(): number {
    const [block] = this.#released;
    if (block === undefined) throw new RangeError('no free block: ask freeBlocks first');
    this.#released.delete(block);
    const content = this.#contentOf.get(block);
    if (content !== undefined) this.#byContent.delete(content);
    this.#contentOf.delete(block);
    return block;
  }
}
