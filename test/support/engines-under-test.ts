/** One well-behaved engine of each kind, as its adapter would meet it. */
import type { Adapter, EngineHints, ErrorClass } from '../../backend-adapters/adapter.ts';
import { gptOssHf } from '../../backend-adapters/gpt-oss-hf.ts';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { ollama } from '../../backend-adapters/ollama.ts';
import { openai } from '../../backend-adapters/openai.ts';
import { sglang } from '../../backend-adapters/sglang.ts';
import { tgi } from '../../backend-adapters/tgi.ts';
import { transformers } from '../../backend-adapters/transformers.ts';
import { vllm } from '../../backend-adapters/vllm.ts';
import { type Answers, json, recorded, reply } from './fake-engine-io.ts';

export const NO_HINTS: EngineHints = {
  modelSpec: null,
  kvBytesPerElement: null,
  kvLayout: 'auto',
  attention: 'flash',
  tensorParallel: 1,
  ollamaNumParallel: null,
  imageTokens: null,
  audioTokens: null,
};

export interface EngineUnderTest {
  readonly name: string;
  readonly adapter: Adapter;
  readonly answers: Answers;
  /** Whether `[DONE]` ends a stream; else the finish chunk does. */
  readonly sendsDone: boolean;
  /** Output of a chat that names no limit, where the engine has one for it. */
  readonly defaultTokens?: number;
  /** What a 500 without any words means; left out: a failure like any other. */
  readonly bareFailure?: ErrorClass;
  /** false: only its chat bodies are like OpenAI's, not its answers and events. */
  readonly answersAsOpenAi?: false;
  /** Whether a prompt may be an object (llama.cpp's multimodal form). */
  readonly takesPromptObjects?: true;
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

/** The root is what SGLang answers to clients of Ollama (entrypoints/http_server.py). */
const SGLANG: Answers = {
  'GET /': reply(200, '"Ollama is running"'),
  'GET /v1/models': recorded('sglang/models.json'),
  'GET /model_info': recorded('sglang/model-info.json'),
  'GET /server_info': recorded('sglang/server-info.json'),
  'GET /v1/loads?include=core,queues': recorded('sglang/loads.json'),
  'GET /metrics': recorded('sglang/metrics.txt'),
};

const TGI: Answers = {
  'GET /health': reply(200, ''),
  'GET /info': recorded('tgi/info.json'),
  'GET /metrics': recorded('tgi/metrics.txt'),
  'GET /v1/models': json({
    object: 'list',
    data: [
      { id: 'openai/gpt-oss-20b', object: 'model', created: 0, owned_by: 'openai/gpt-oss-20b' },
    ],
  }),
};

const TRANSFORMERS: Answers = {
  'GET /health': json({ status: 'ok' }, { 'x-request-id': '1b0d' }),
  'GET /v1/models': recorded('transformers/models.json', 200, { 'x-request-id': '1b0e' }),
};

const OLLAMA: Answers = {
  'GET /': reply(200, 'Ollama is running'),
  'GET /api/version': json({ version: '0.14.2' }),
  'GET /api/ps': recorded('ollama/ps.json'),
  'GET /api/tags': recorded('ollama/tags.json'),
  'POST /api/show': recorded('ollama/show-gpt-oss.json'),
  'GET /v1/models': json({
    object: 'list',
    data: [{ id: 'gpt-oss:20b', object: 'model', created: 1764000000, owned_by: 'library' }],
  }),
};

const GPT_OSS_HF: Answers = { 'GET /health': recorded('gpt-oss-hf/health.json') };

const OPENAI: Answers = { 'GET /v1/models': recorded('openai/models.json') };

export const enginesUnderTest: readonly EngineUnderTest[] = [
  {
    name: 'llamacpp',
    adapter: llamacpp,
    answers: LLAMACPP,
    sendsDone: true,
    takesPromptObjects: true,
  },
  { name: 'vllm', adapter: vllm, answers: VLLM, sendsDone: true },
  { name: 'sglang', adapter: sglang, answers: SGLANG, sendsDone: true },
  { name: 'tgi', adapter: tgi, answers: TGI, sendsDone: true },
  {
    name: 'transformers',
    adapter: transformers,
    answers: TRANSFORMERS,
    sendsDone: false,
    defaultTokens: 1024,
    bareFailure: 'oom',
  },
  { name: 'ollama', adapter: ollama, answers: OLLAMA, sendsDone: true },
  {
    name: 'gpt-oss-hf',
    adapter: gptOssHf,
    answers: GPT_OSS_HF,
    sendsDone: false,
    defaultTokens: 100,
    answersAsOpenAi: false,
  },
  { name: 'openai', adapter: openai, answers: OPENAI, sendsDone: false },
];

export function answersOf(name: string): Answers {
  return enginesUnderTest.find((engine) => engine.name === name)?.answers ?? {};
}
