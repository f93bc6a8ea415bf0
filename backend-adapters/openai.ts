/**
 * Any other server that speaks OpenAI's API. Nothing is known of its memory,
 * so kvgate can't guard it: it bounds how many requests run at a time
 * (--max-concurrency), and sessions where --model-config tells the geometry.
 */
import type { Adapter } from './adapter.ts';
import { streamEventByRoute, usageByRoute } from './by-route.ts';
import { tryChatToken } from './one-token.ts';
import { classifyOpenAiError } from './openai-server/errors.ts';
import { isOfNoKnownEngine, listModels, probeOpenAi } from './openai-server/probe.ts';
import { OPENAI_ROUTES, parseOpenAiServer, rewriteOpenAiServer } from './openai-server/request.ts';
import { UNKNOWN_READING } from './unknown-reading.ts';

export const openai: Adapter = {
  name: 'openai',
  generationRoutes: OPENAI_ROUTES,
  passthroughRoutes: [
    { method: 'GET', path: '/v1/models' },
    { method: 'GET', path: '/v1/models/*' },
  ],
  cancelQuietMs: 0,
  rankHeader: null,

  /** Looked for last: all that tells it is a list of models, and those of no engine known better. */
  async detect(io, signal) {
    try {
      return isOfNoKnownEngine(await listModels(io, signal));
    } catch {
      return false;
    }
  },

  probe: probeOpenAi,

  async read(io, _facts, signal) {
    await listModels(io, signal);
    return UNKNOWN_READING;
  },

  hasNoCounter: true,
  countTokens: async () => null,

  tryOneToken: (io, facts, signal) => tryChatToken(io, facts.modelId, signal),

  parse: parseOpenAiServer,
  rewrite: rewriteOpenAiServer,
  usage: usageByRoute,
  // OpenAI ends a stream with [DONE]; not all who speak its API do, but all say why they finished.
  streamEvent: (data, route) => streamEventByRoute(data, route, 'finish-reason'),
  classifyError: classifyOpenAiError,
};
