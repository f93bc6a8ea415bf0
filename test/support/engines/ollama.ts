/**
 * A server that behaves like Ollama at fb30760 (August 2026) as far as a proxy
 * can tell. Sources are files of ollama/ollama; its answers are in ollama-answers.ts.
 */
import { readFileSync } from 'node:fs';
import {
  type ContractServer,
  type Exchange,
  member,
  respond,
  startContractServer,
} from './contract-server.ts';
import { answerOf, errorOf, type OllamaFace, REFUSALS, streamOf } from './ollama-answers.ts';

export type { OllamaFace } from './ollama-answers.ts';

export interface OllamaServer extends ContractServer<OllamaFace> {
  /** How often a model was loaded (server/sched.go, load), and unloaded on request. */
  loads(): number;
  unloads(): number;
}

export interface OllamaOptions {
  readonly port?: number;
  /** Whether the model is loaded from the beginning; its context then. */
  readonly loadedContext?: number | null;
}

/** server/routes.go, GenerateRoutes. */
const PATHS = [
  ...['/api/chat', '/api/generate', '/api/embed', '/api/embeddings', '/v1/chat/completions'],
  ...['/v1/completions', '/v1/responses', '/v1/messages', '/v1/embeddings'],
];
/** What a model gets that is loaded without being told (docs/context-length.mdx, 24 to 48 GiB). */
const DEFAULT_CONTEXT = 32_768;

/** The port is open before any model is loaded: they are loaded when they are asked for. */
export async function startOllama(options: OllamaOptions = {}): Promise<OllamaServer> {
  const { loadedContext = DEFAULT_CONTEXT } = options;
  const show = fixture('show-gpt-oss.json');
  const tags = fixture('tags.json');
  const ps = JSON.parse(fixture('ps.json'));
  let context = loadedContext;
  let loads = 0;
  let unloads = 0;

  const state = ({ method, path, body: asked, response }: Exchange): boolean => {
    const isEmbedding = String(member(asked, 'model')).startsWith('nomic-embed');
    const shown = isEmbedding ? { capabilities: ['embedding'], model_info: {} } : show;
    const body = stateOf(`${method} ${path}`, { show: shown, tags, ps, context });
    if (body === null) return false;
    respond(response, 200, body, path === '/' ? 'text/plain' : 'application/json');
    return true;
  };
  const generate = (exchange: Exchange, face: OllamaFace | 'answers'): void => {
    const { path, body, response } = exchange;
    const refusal = face === 'answers' ? undefined : REFUSALS[face];
    if (refusal !== undefined) {
      respond(response, refusal[0], errorOf(path, refusal[0], refusal[1]));
      return;
    }
    const hasPrompt = ['messages', 'prompt', 'input'].some(
      (name) => member(body, name) !== undefined,
    );
    if (!hasPrompt && member(body, 'keep_alive') === 0) {
      unloads += 1;
      context = null;
      respond(response, 200, { model: 'm', created_at: 't', done: true, done_reason: 'unload' });
      return;
    }
    // server/sched.go, needsReload: a context that was named and is another one.
    const asked = member(member(body, 'options'), 'num_ctx');
    const wanted = typeof asked === 'number' ? asked : (context ?? DEFAULT_CONTEXT);
    if (context !== wanted) loads += 1;
    context = wanted;
    if (hasPrompt && isStream(path, body)) streamOf(path, body, response, face);
    else
      respond(
        response,
        200,
        hasPrompt ? answerOf(path) : { model: 'm', done: true, done_reason: 'load' },
      );
  };

  const server = await startContractServer<OllamaFace>(
    { state, generates: (path) => PATHS.includes(path), generate, notFound: '404 page not found' },
    options.port ?? 0,
  );
  return { ...server, loads: () => loads, unloads: () => unloads };
}

/** On its own routes a stream is what is not refused (api/types.go). */
function isStream(path: string, body: unknown): boolean {
  if (path.startsWith('/api/embed') || path === '/v1/embeddings') return false;
  const stream = member(body, 'stream');
  return path.startsWith('/api/') ? stream !== false : stream === true;
}

function stateOf(
  request: string,
  known: { show: string | object; tags: string; ps: { models: object[] }; context: number | null },
): string | object | null {
  switch (request) {
    case 'GET /':
      return 'Ollama is running';
    case 'GET /api/version':
      return { version: '0.14.2' };
    case 'GET /api/tags':
      return known.tags;
    case 'POST /api/show':
      return known.show;
    case 'GET /api/ps': {
      const models = known.ps.models.map((model) => ({ ...model, context_length: known.context }));
      return { models: known.context === null ? [] : models };
    }
    case 'GET /v1/models':
      return { object: 'list', data: [{ id: 'gpt-oss', object: 'model', owned_by: 'library' }] };
    default:
      return null;
  }
}

function fixture(name: string): string {
  return readFileSync(new URL(`../../fixtures/engines/ollama/${name}`, import.meta.url), 'utf8');
}
