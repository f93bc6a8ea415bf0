/** One well-behaved engine of each kind, as its adapter would meet it. */
import type { Adapter, EngineHints } from '../../backend-adapters/adapter.ts';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { transformers } from '../../backend-adapters/transformers.ts';
import { vllm } from '../../backend-adapters/vllm.ts';
import { type Answers, json, recorded, reply } from './fake-engine-io.ts';

export const NO_HINTS: EngineHints = {
  modelSpec: null,
  kvBytesPerElement: null,
  kvLayout: 'auto',
  attention: 'flash',
  tensorParallel: 1,
};

export interface EngineUnderTest {
  readonly name: string;
  readonly adapter: Adapter;
  readonly answers: Answers;
  /** Whether `[DONE]` ends a stream; else the finish chunk does. */
  readonly sendsDone: boolean;
}

const LLAMACPP: Answers = {
  'GET /health': json({ status: 'ok' }, { server: 'llama.cpp' }),
  'GET /props': recorded('llamacpp/props.json'),
  'GET /slots': recorded('llamacpp/slots.json'),
  'GET /v1/models': recorded('llamacpp/models.json'),
};

const VLLM: Answers = {
  'GET /health': reply(200, ''),
  'GET /version': json({ version: '0.32.0' }),
  'GET /metrics': recorded('vllm/metrics.txt'),
  'GET /v1/models': recorded('vllm/models.json'),
};

const TRANSFORMERS: Answers = {
  'GET /health': json({ status: 'ok' }, { 'x-request-id': '1b0d' }),
  'GET /v1/models': recorded('transformers/models.json', 200, { 'x-request-id': '1b0e' }),
};

export const enginesUnderTest: readonly EngineUnderTest[] = [
  { name: 'llamacpp', adapter: llamacpp, answers: LLAMACPP, sendsDone: true },
  { name: 'vllm', adapter: vllm, answers: VLLM, sendsDone: true },
  { name: 'transformers', adapter: transformers, answers: TRANSFORMERS, sendsDone: false },
];

export function answersOf(name: string): Answers {
  return enginesUnderTest.find((engine) => engine.name === name)?.answers ?? {};
}
