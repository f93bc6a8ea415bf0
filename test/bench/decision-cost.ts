/**
 * What a decision costs where no prompt has to be counted: a body of 16 KB, read and scanned, is
 * parsed by its adapter and decided on. `node --import ./test/bench/typescript.mjs` runs this file.
 */
import { vllm } from '../../backend-adapters/vllm.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { KvLayout } from '../../proxy/memory/kv-layout.ts';
import type { AdmissionRequest } from '../../proxy/state/judge.ts';
import { percentile } from '../support/figures.ts';
import { CHAT, scannedRequest } from '../support/scanned-request.ts';
import { admissionRequest, facts, stateWorld } from '../support/state-world.ts';

export interface DecisionCost {
  readonly p50Micros: number;
  readonly p99Micros: number;
}

export interface DecisionCosts {
  /** There is room: the usual case. */
  readonly roomy: DecisionCost;
  /** The pools are full: the wait is predicted. Nobody can count the prompt. */
  readonly full: DecisionCost;
  /** The same, decided again after a count that takes no time. */
  readonly counted: DecisionCost;
}

export interface DecisionLoad {
  readonly rounds?: number;
  readonly decisions?: number;
}

const BODY_BYTES = 16 * 1024;
const LEASES = 50;
const SESSIONS = 20;
const CONTEXT_TOKENS = 131_072;
const WARM_UP = 5_000;

/** Two pools, four instances of gpt-oss-20b on three kinds of memory. */
const INSTANCES = ['a', 'b', 'c', 'large'];

function layouts(): readonly KvLayout[] {
  const spec = findModel('gpt-oss-20b');
  if (spec === null) throw new Error('gpt-oss-20b is in the catalog');
  const shared = { spec, kvBytesPerElement: 2, contextTokens: CONTEXT_TOKENS };
  const paged = {
    ...shared,
    model: 'paged',
    blockTokens: 16,
    inFlightTokens: 8_192,
    drafting: null,
  } as const;
  return [
    { ...paged, tensorParallel: 1 },
    { ...paged, tensorParallel: 1 },
    { ...shared, model: 'slots', unified: true, slots: 64 },
    { ...paged, tensorParallel: 4 },
  ];
}

/** Leases of chats of a few thousand tokens, each at another point of its answer, on every instance. */
function busyWorld(spareUnits: number) {
  const kinds = layouts();
  const world = stateWorld({
    instances: INSTANCES.map((name, index) => ({
      name,
      large: name === 'large',
      ...(kinds[index] === undefined ? {} : { layout: kinds[index] }),
    })),
    policy: { largeRequestTokens: 32_000, largeRequestKvBytes: 6e9, sessionKvLimitBytes: 4e9 },
  });
  // A minute of what was usual is remembered, by the second.
  for (let second = 0; second < 60; second += 1) {
    world.clock.advance(1_000);
    world.judge.refreshLevels();
  }
  for (const name of INSTANCES) {
    for (let index = 0; index < 40; index += 1) {
      const outputTokens = 100 + index * 20;
      const totalMs = 500 + outputTokens * 10;
      const sample = { promptTokens: 2_000, outputTokens, ttftMs: 500, totalMs };
      world.speeds.learn(name, sample);
    }
  }
  for (let index = 0; index < LEASES; index += 1) {
    const name = INSTANCES[index % INSTANCES.length] ?? '';
    const layout = kinds[index % INSTANCES.length];
    if (layout === undefined) continue;
    const key = `session-${index % SESSIONS}`;
    const charge = chargeOf(layout, 1_000 + index * 60, 1_000, 1, 1);
    const takenAtMs = world.clock.nowMs() - 40 * index;
    world.sessions.begin(key, key, charge.kvBytes ?? 0, takenAtMs);
    const terms = { requestId: `lease-${index}`, instance: name, layout, charge, sessionKey: key };
    const lease = world.ledger.take({ ...terms, streams: true, takenAtMs });
    lease.generated(1 + index * 10);
  }
  for (const name of INSTANCES) {
    const capacityUnits = world.ledger.totals(name).committedUnits + spareUnits;
    world.read(name, { capacityUnits, maxSequences: 64 });
  }
  return world;
}

function chatBody(): string {
  const turns = Array.from({ length: 8 }, (_, index) => ({
    role: index % 2 === 0 ? 'user' : 'assistant',
    content: 'The quick brown fox jumps over the lazy dog. '.repeat(44),
  }));
  const body = { model: 'gpt-oss-20b', messages: turns, max_tokens: 800, temperature: 0.7 };
  const text = JSON.stringify(body);
  return `${text.slice(0, -1)}${' '.repeat(Math.max(0, BODY_BYTES - text.length))}}`;
}

async function costIn(
  spareUnits: number,
  countTokens: AdmissionRequest['countTokens'],
  { rounds = 5, decisions = 4_000 }: DecisionLoad,
) {
  const world = busyWorld(spareUnits);
  const scanned = scannedRequest(CHAT, chatBody());
  const [layout] = layouts();
  if (layout === undefined) throw new Error('no layout');
  const known = facts(layout, 'gpt-oss-20b');
  const { signal } = new AbortController();
  const decideOnce = async (index: number): Promise<string> => {
    const shape = vllm.parse(scanned, known);
    if ('invalid' in shape) throw new Error(shape.invalid);
    const key = `session-${index % SESSIONS}`;
    const request = admissionRequest({ shape, session: { key, id: key }, countTokens });
    return (await world.admission.explain(request, signal)).action;
  };
  const actions = new Set<string>();
  for (let index = 0; index < WARM_UP; index += 1) actions.add(await decideOnce(index));
  const p50: number[] = [];
  const p99: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const micros: number[] = [];
    for (let index = 0; index < decisions; index += 1) {
      const startedMs = performance.now();
      await decideOnce(index);
      micros.push((performance.now() - startedMs) * 1_000);
    }
    p50.push(percentile(micros, 50));
    p99.push(percentile(micros, 99));
  }
  return { actions, p50Micros: percentile(p50, 50), p99Micros: percentile(p99, 50) };
}

/** Microseconds from the scanned body to its decision: of several rounds, the one in the middle. */
async function measureDecisionCost(load: DecisionLoad = {}): Promise<DecisionCosts> {
  const { actions: roomyActions, ...roomy } = await costIn(1_000_000, null, load);
  const { actions: fullActions, ...full } = await costIn(0, null, load);
  const { actions: countedActions, ...counted } = await costIn(0, async () => null, load);
  if (!roomyActions.has('accept') || roomyActions.size > 1) throw new Error('there is no room');
  if (!fullActions.has('queue') || fullActions.size > 1) throw new Error('nobody would wait');
  if (!countedActions.has('queue')) throw new Error('nobody would wait');
  return { roomy, full, counted };
}

if (process.argv[1] === import.meta.filename) {
  console.info(JSON.stringify(await measureDecisionCost()));
}
