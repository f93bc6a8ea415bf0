/**
 * SGLang's bodies: openai/protocol.py, openai/serving_*.py and
 * anthropic/protocol.py of python/sglang/srt/entrypoints.
 */
import type { EmbeddingRules, OpenAiDialect } from '../openai-dialect.ts';

const OWN_RANK = 'is not supported: which rank serves a request is decided by free memory';
const OWN_SIZE = "is not supported: its size in tokens can't be told";

/** On any route. */
export const REFUSED_FIELDS: ReadonlyMap<string, string> = new Map([
  ['input_embeds', `input_embeds ${OWN_SIZE}`],
  // What a session holds already comes before the prompt of the body.
  ['session_params', `session_params ${OWN_SIZE}`],
  ['routed_dp_rank', `routed_dp_rank ${OWN_RANK}`],
  ['data_parallel_rank', `data_parallel_rank ${OWN_RANK}`],
  ['use_beam_search', 'use_beam_search is not supported: beams are not counted'],
]);

export const DIALECT: OpenAiDialect = {
  routes: [
    { path: '/v1/chat/completions', kind: 'chat', api: 'openai' },
    { path: '/v1/completions', kind: 'completion', api: 'openai' },
    { path: '/v1/responses', kind: 'responses', api: 'responses' },
    { path: '/v1/messages', kind: 'messages', api: 'anthropic' },
    { path: '/v1/embeddings', kind: 'embedding', api: 'openai' },
    { path: '/v1/classify', kind: 'embedding', api: 'openai' },
    { path: '/encode', kind: 'embedding', api: 'openai' },
    { path: '/classify', kind: 'embedding', api: 'openai' },
    { path: '/v1/rerank', kind: 'ranking', api: 'openai' },
    { path: '/v1/score', kind: 'ranking', api: 'openai' },
    { path: '/generate', kind: 'native-text', api: 'openai' },
  ],
  outputLimits: { chat: ['max_completion_tokens', 'max_tokens'], completion: ['max_tokens'] },
  ignoredOutputLimit: null,
  completionDefaultTokens: 16,
  minusOneIsUnlimited: false,
  allowsPrefillOnly: false,
  outputFloor: 'min_tokens',
  // `best_of` is read and never used.
  sampleFields: ['n'],
  samplesAreIgnored: false,
  prompts: 'lists',
  greedyNeedsOneSample: false,
  usageOnRequest: true,
  refusedFields: new Map([
    ...REFUSED_FIELDS,
    // In a chat it takes the place of the messages.
    ['input_ids', 'input_ids is not supported here: use /v1/completions or /generate'],
  ]),
  responses: {
    outputLimits: ['max_output_tokens'],
    defaultTokens: null,
    streamsByDefault: false,
    refusedFields: new Map(),
  },
  messages: { missingLimit: 'required' },
  embeddings: {
    inputs: ['input'],
    prompts: 'lists',
    refusedFields: new Map(),
    takesMessages: false,
  },
  rankings: {
    sides: [
      ['query', 'documents'],
      ['query', 'items'],
    ],
  },
};

const MEDIA_HINT = 'is not supported here: send it in the messages of a chat';

/** Beside `text` and `input_ids` on the engine's own routes (managers/io_struct.py). */
export const NATIVE_MEDIA: ReadonlyMap<string, string> = new Map(
  ['image_data', 'video_data', 'audio_data'].map((name) => [name, `${name} ${MEDIA_HINT}`]),
);

/** Of the native `/encode` and `/classify`; token ids go before a text (tokenizer_manager.py). */
export const NATIVE_EMBEDDINGS: EmbeddingRules = {
  inputs: ['input_ids', 'text'],
  prompts: 'lists',
  refusedFields: NATIVE_MEDIA,
  takesMessages: false,
};
