/** The options of `kvgate estimate`: a model, an engine, a request and a GPU. */
import {
  boolean,
  choice,
  integer,
  integerOrNone,
  number,
  numberOrNone,
  textOrNone,
} from './option.ts';
import { OPTIONS } from './options.ts';

const TOKENS = { unit: 'tokens', min: 1, max: 100_000_000 };
const GIBIBYTES = { unit: 'GiB', min: 0.1, max: 16_384 };

export const ESTIMATE_OPTIONS = {
  model: textOrNone('Name of a model that kvgate knows: gpt-oss-20b, llama-3.1-8b, ...'),
  'model-config': textOrNone("A model's config.json or GGUF file, for any other."),
  gguf: textOrNone('As --model-config, for a GGUF file.'),
  engine: choice(
    'Engine that serves it.',
    ['llamacpp', 'vllm', 'sglang', 'tgi', 'ollama', 'transformers'],
    'vllm',
  ),
  'prompt-tokens': integerOrNone('Tokens of the prompt, template included.', TOKENS),
  'max-tokens': integerOrNone('Output tokens at most.', TOKENS),
  'cached-tokens': integerOrNone(
    'vLLM, SGLang, TGI: tokens of the prompt that are in the prefix cache and shared with others.',
    TOKENS,
  ),
  body: textOrNone(
    'A request as JSON in place of --prompt-tokens; its max tokens hold unless --max-tokens is given.',
  ),
  gpus: integer('GPUs that the server spans.', 1, { min: 1, max: 64 }),
  'gpu-gb': number('Memory of each GPU.', 80, GIBIBYTES),
  'weights-gb': numberOrNone(
    'Memory that the weights take, over all GPUs; not needed for gpt-oss and GGUF files.',
    GIBIBYTES,
  ),
  'gpu-memory-threshold': OPTIONS['gpu-memory-threshold'],
  'mem-safety-reserve-mb': OPTIONS['mem-safety-reserve-mb'],
  'kv-dtype': {
    ...OPTIONS['kv-dtype'],
    description:
      'Type of KV elements, one that the engine has; not given: its own default, 16 bits.',
  },
  attention: choice('transformers: how attention is computed.', ['eager', 'flash'], 'eager'),
  'max-num-batched-tokens': integer('vLLM, SGLang: prompt tokens of one step.', 8192, TOKENS),
  'async-scheduling': boolean('vLLM: whether the next step is prepared beside the current.', true),
  'ubatch-size': integer('llama.cpp: tokens of one physical batch (-ub).', 512, {
    ...TOKENS,
    max: 1_048_576,
  }),
  'swa-full': boolean('llama.cpp: sliding layers keep every token.', false),
  json: boolean('Print JSON.', false),
} as const;
