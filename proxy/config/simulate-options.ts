/** The options of `kvgate simulate`: a trace, a machine, a policy, and what production decides by. */
import { boolean, choice, integer, integerOrNone, number, text, textOrNone } from './option.ts';
import { OPTIONS } from './options.ts';

const TOKENS = { unit: 'tokens', min: 1, max: 100_000_000 };

/** The options of `serve` that change what is decided; they mean the same here. */
const RULES = {
  reserve: OPTIONS.reserve,
  'overrun-probability': OPTIONS['overrun-probability'],
  degrade: OPTIONS.degrade,
  'dynamic-thresholds': OPTIONS['dynamic-thresholds'],
  'queue-max': OPTIONS['queue-max'],
  'queue-timeout': OPTIONS['queue-timeout'],
  'queue-target': OPTIONS['queue-target'],
  'short-wait': OPTIONS['short-wait'],
  'admission-order': OPTIONS['admission-order'],
  'shrink-floor': OPTIONS['shrink-floor'],
  'min-output-tokens': OPTIONS['min-output-tokens'],
  'max-concurrency': OPTIONS['max-concurrency'],
  'gpu-memory-threshold': OPTIONS['gpu-memory-threshold'],
  'mem-safety-reserve-mb': OPTIONS['mem-safety-reserve-mb'],
  'pressure-low': OPTIONS['pressure-low'],
  'pressure-medium': OPTIONS['pressure-medium'],
  'pressure-high': OPTIONS['pressure-high'],
  'pressure-critical': OPTIONS['pressure-critical'],
  'pool-pressure-medium': OPTIONS['pool-pressure-medium'],
  'pool-pressure-high': OPTIONS['pool-pressure-high'],
  'pool-pressure-critical': OPTIONS['pool-pressure-critical'],
  'pool-pressure-emergency': OPTIONS['pool-pressure-emergency'],
  hysteresis: OPTIONS.hysteresis,
  'min-dwell': OPTIONS['min-dwell'],
} as const;

export const SIMULATE_OPTIONS = {
  trace: textOrNone('Requests to simulate: a CSV of the Azure traces, or a JSONL of Mooncake.'),
  policy: text('kvgate, oracle, naive, none, static:N or static:best.', 'kvgate'),
  engine: choice(
    'Engine that serves the model.',
    ['vllm', 'sglang', 'tgi', 'transformers', 'llamacpp', 'ollama'],
    'vllm',
  ),
  model: text('gpt-oss-20b or gpt-oss-120b.', 'gpt-oss-20b'),
  gpus: integer('GPUs that the server spans.', 1, { min: 1, max: 8 }),
  'gpu-gb': number('Memory of each GPU.', 80, { unit: 'GiB', min: 0.1, max: 16_384 }),
  'kv-tokens': integerOrNone(
    'Tokens that the KV memory has room for, in place of what --gpu-gb leaves.',
    { ...TOKENS, min: 256 },
  ),
  'kv-layout': choice(
    'llamacpp, ollama: one KV pool for all slots (unified) or a share for each (split).',
    ['unified', 'split'],
    'unified',
  ),
  slots: integer('llamacpp, ollama: slots.', 4, { min: 1, max: 4_096 }),
  'max-num-seqs': integer('vllm, sglang, tgi: sequences at a time.', 256, {
    min: 1,
    max: 65_536,
  }),
  attention: choice('transformers: how attention is computed.', ['flash', 'eager'], 'flash'),
  load: number('Arrivals, as a multiple of those that fill the memory.', 1, {
    min: 0.001,
    max: 1_000,
  }),
  requests: integerOrNone(
    'Requests to simulate; a shorter trace is repeated. Not given: all of it.',
    {
      min: 1,
      max: 10_000_000,
    },
  ),
  'prompt-scale': number('Prompts are so many times as long as in the trace.', 1, {
    min: 0.001,
    max: 1_000,
  }),
  'max-tokens': integer('Output tokens that every request asks for.', 1_000, TOKENS),
  outputs: choice(
    'Outputs as long as in the trace, or all as long as they may be.',
    ['trace', 'limit'],
    'trace',
  ),
  tenants: integer('Tenants that the requests come from.', 1, { min: 1, max: 1_000 }),
  'first-tenant-share': number('Requests of the first tenant for each one of another.', 1, {
    min: 0.001,
    max: 1_000,
  }),
  seed: integer('Seed of what is drawn by chance: whose request each is.', 1, {
    min: 0,
    max: 2_147_483_647,
  }),
  out: text(
    'Folder for result.json and memory.svg; made where it is missing.',
    'kvgate-simulation',
  ),
  json: boolean('Print JSON.', false),
  ...RULES,
} as const;
