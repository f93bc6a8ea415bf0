/**
 * vLLM's block tables, kept step by step for one request: which slots of a table
 * hold a block of the pool, when blocks are taken and when they go back. Written
 * from what vLLM does (v1/core/kv_cache_manager.py: allocate_slots,
 * single_type_kv_cache_manager.py, v1/core/sched/scheduler.py) and checked against
 * recordings of it (test/fixtures/engines/vllm/block-counts.json). It shares
 * nothing with proxy/memory: it counts, it does not calculate.
 */

export type Keeps =
  | { readonly kind: 'full' }
  | { readonly kind: 'window'; readonly tokens: number }
  | { readonly kind: 'chunk'; readonly tokens: number }
  | { readonly kind: 'state-align' };

export interface TableGroup {
  readonly blockTokens: number;
  readonly keeps: Keeps;
}

export interface SimulatedRequest {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** `max_num_batched_tokens`. */
  readonly chunkTokens: number;
  /** Batches in the works at a time: 2 with async scheduling. */
  readonly batches: number;
  readonly contextTokens: number;
  /** Slots past a step's tokens, for guesses that are being made. */
  readonly lookaheadTokens: number;
  /** Guesses under check in each step of decoding, all of them right; left out: none. */
  readonly guessTokens?: number;
  readonly groups: readonly TableGroup[];
  /** Tokens of whole blocks that the prefix cache gives; left out: none. */
  readonly hitTokens?: number;
}

export interface Step {
  /** Tokens that are computed when the step is done. */
  readonly tokens: number;
  readonly phase: 'prefill' | 'decode';
  /** Blocks of the pool in each group's table. */
  readonly held: readonly number[];
  /** Those of them that the cache did not give. */
  readonly own: readonly number[];
}

/** What stands in a slot of a table; `null_block` where nothing is kept. */
type Slot = 'null_block' | 'from_cache' | 'own';

interface BlockTable {
  readonly group: TableGroup;
  /** In the order of the sequence. */
  readonly slots: Slot[];
  /** Of a state: the slot that the state before the present one is in. */
  previousState: number | null;
}

/** Every step of a request that has the pool to itself, up to its last computed token. */
export function simulateRequest(request: SimulatedRequest): readonly Step[] {
  const { promptTokens, outputTokens, chunkTokens, batches, contextTokens } = request;
  const hitTokens = request.hitTokens ?? 0;
  const tables = request.groups.map((group) => tableAfterHit(group, hitTokens));
  // The last token of an answer is never fed to the model.
  const lastTokens = Math.min(promptTokens + outputTokens - 1, contextTokens);
  const inFlight: number[] = [];
  const steps: Step[] = [];
  let computed = hitTokens;
  while (computed < lastTokens) {
    const prefill = computed < promptTokens;
    const scheduled = prefill
      ? Math.min(chunkTokens, promptTokens - computed)
      : Math.min(1 + (request.guessTokens ?? 0), lastTokens - computed);
    const settled = computed - inFlight.reduce((sum, tokens) => sum + tokens, 0);
    const slotTokens = Math.min(computed + scheduled + request.lookaheadTokens, contextTokens);
    for (const table of tables) {
      dropUnreachable(table, Math.max(0, settled));
      grow(table, slotTokens, computed + scheduled);
    }
    computed += scheduled;
    inFlight.push(scheduled);
    if (inFlight.length >= batches) inFlight.shift();
    steps.push({
      tokens: computed,
      phase: prefill ? 'prefill' : 'decode',
      held: tables.map(({ slots }) => slots.filter((slot) => slot !== 'null_block').length),
      own: tables.map(({ slots }) => slots.filter((slot) => slot === 'own').length),
    });
  }
  return steps;
}

/**
 * What must be free for a prompt to be let in (`full_sequence_must_fit` with
 * max_admission_blocks_per_request), in each group. vLLM counts one for a state.
 */
export function admissionBlocks(request: SimulatedRequest): readonly number[] {
  const { promptTokens, chunkTokens, batches, contextTokens } = request;
  const inFlightTokens = batches * chunkTokens;
  return request.groups.map(({ blockTokens, keeps }) => {
    const blocksFor = (tokens: number) => [...blockStarts(tokens, blockTokens)].length;
    const whole = blocksFor(Math.min(promptTokens, contextTokens));
    switch (keeps.kind) {
      case 'full':
        return whole;
      case 'window':
        return Math.min(
          whole,
          blocksFor(Math.min(keeps.tokens - 1 + inFlightTokens, contextTokens)) + 1,
        );
      case 'chunk':
        return Math.min(whole, blocksFor(Math.min(keeps.tokens + inFlightTokens, contextTokens)));
      default:
        return 1;
    }
  });
}

/** Blocks of the hit that the next token does not look at are not taken from the cache. */
function tableAfterHit(group: TableGroup, hitTokens: number): BlockTable {
  const table: BlockTable = { group, slots: [], previousState: null };
  for (const _ of blockStarts(hitTokens, group.blockTokens)) table.slots.push('from_cache');
  dropUnreachable(table, hitTokens);
  return table;
}

/** Puts the null block in place of those that no token to come looks at. */
function dropUnreachable(table: BlockTable, settledTokens: number): void {
  const { group, slots } = table;
  const { blockTokens } = group;
  const unseen = unseenTokens(group.keeps, settledTokens);
  for (const index of slots.keys()) {
    if ((index + 1) * blockTokens <= unseen) slots[index] = 'null_block';
  }
  const { previousState } = table;
  if (previousState === null) return;
  const current = [...blockStarts(settledTokens, blockTokens)].length - 1;
  if (previousState < current) slots[previousState] = 'null_block';
}

/** Tokens from the sequence's start that the next token does not attend to. */
function unseenTokens(keeps: Keeps, settledTokens: number): number {
  switch (keeps.kind) {
    case 'full':
      return 0;
    case 'window':
      return settledTokens - (keeps.tokens - 1);
    case 'chunk':
      return settledTokens - (settledTokens % keeps.tokens);
    default:
      // A state is read from the block of the last settled token.
      return settledTokens - 1;
  }
}

/** Appends blocks until there is a slot for every token. */
function grow(table: BlockTable, slotTokens: number, mainTokens: number): void {
  const { group, slots } = table;
  const isState = group.keeps.kind === 'state-align';
  const wanted = [...blockStarts(isState ? mainTokens : slotTokens, group.blockTokens)].length;
  if (wanted <= slots.length) return;
  if (isState) {
    if (slots.length > 0) table.previousState = slots.length - 1;
    // Of the blocks of one step only the last has a state.
    while (slots.length < wanted - 1) slots.push('null_block');
  }
  while (slots.length < wanted) slots.push('own');
}

function* blockStarts(tokens: number, blockTokens: number): Generator<number> {
  for (let start = 0; start < tokens; start += blockTokens) yield start;
}
