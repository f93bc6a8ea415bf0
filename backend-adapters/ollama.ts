/**
 * Ollama. It runs a llama-server for each loaded model, with a slot of its own
 * context for each of OLLAMA_NUM_PARALLEL requests (llm/llama_server.go), so
 * KV is bounded when a model is loaded; what moves memory is loading another
 * model, or the same one anew. Those who would do the latter are refused, and
 * so are unloads. A model that is not loaded is loaded by Ollama itself, which
 * unloads idle ones where it has to (server/sched.go); its requests count in
 * the same slots. So do those of ":cloud" models, though they take no memory
 * here. What is longer than the context Ollama cuts without a word
 * (server/prompt.go), and a generation that reaches its end goes on in the same
 * cells (--context-shift): nothing is refused for its length.
 */
import type { Adapter } from './adapter.ts';
import { streamEventByRoute } from './by-route.ts';
import { field, stringField, tryGetJson } from './engine-answer.ts';
import { streamLine, usageOf } from './ollama/answer.ts';
import { classifyOllamaError } from './ollama/errors.ts';
import { probeOllama, readOllama } from './ollama/probe.ts';
import { parseOllama, rewriteOllama } from './ollama/request.ts';
import { OLLAMA_ROUTES } from './ollama/routes.ts';
import { tryPost } from './one-token.ts';

export const ollama: Adapter = {
  name: 'ollama',
  generationRoutes: OLLAMA_ROUTES,
  /** Pulling, creating, copying and deleting models is not for those who send requests. */
  passthroughRoutes: [
    { method: 'GET', path: '/' },
    { method: 'GET', path: '/api/version' },
    { method: 'GET', path: '/api/tags' },
    { method: 'GET', path: '/api/ps' },
    { method: 'POST', path: '/api/show' },
    { method: 'GET', path: '/v1/models' },
    { method: 'GET', path: '/v1/models/*' },
  ],
  cancelQuietMs: 0,
  rankHeader: null,

  async detect(io, signal) {
    try {
      const home = await io.get('/', signal);
      if (home.status !== 200 || !home.body.startsWith('Ollama is running')) return false;
    } catch {
      return false;
    }
    return stringField(await tryGetJson(io, '/api/version', signal), 'version') !== null;
  },

  probe: probeOllama,
  read: readOllama,

  hasNoCounter: true,
  countTokens: async () => null,

  /** Loads the model where it is not loaded: without it there is no token. */
  tryOneToken(io, { modelId }, signal) {
    const body = { model: modelId, prompt: 'Hi', stream: false, options: { num_predict: 1 } };
    return tryPost(io, '/api/generate', body, signal, (answer) => field(answer, 'done') === true);
  },

  parse: parseOllama,
  rewrite: rewriteOllama,
  usage: usageOf,

  streamEvent: (data, route) =>
    route.api === 'ollama' ? streamLine(data) : streamEventByRoute(data, route, 'done'),

  classifyError: classifyOllamaError,
};
