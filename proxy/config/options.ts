/**
 * The one table of every option. The key is the flag (`--port`) and the YAML
 * key; the environment name follows from it (`KVGATE_PORT`). Sizes in `mb` are
 * MiB (1024 x 1024 bytes), sizes in `gb` are GiB. After a change here, `npm run
 * docs` writes the schema, the example and the list of flags again.
 */
import {
  boolean,
  choice,
  choiceOrNone,
  integer,
  integerOrNone,
  list,
  listOf,
  number,
  numberOrNone,
  type Option,
  text,
  textOrNone,
} from './option.ts';

const SHARE = { min: 0.01, max: 1 };
const POOL_SHARE = { min: 0.1, max: 10 };
const MIB = { unit: 'MiB', min: 0, max: 16_777_216 };
const SECONDS = { unit: 's', min: 0, max: 86_400 };
const PART_TOKENS = { unit: 'tokens', min: 1, max: 16_777_216 };
/** A timeout of 0 would fail everything at once. */
const TIMEOUT_SECONDS = { unit: 's', min: 0.05, max: 86_400 };

const server = {
  config: textOrNone('YAML file with any of these options; flags and environment come before it.'),
  host: text('Address to listen on.', '127.0.0.1'),
  port: integer('Port to listen on; 0 takes a free one.', 9797, { min: 0, max: 65_535 }),
  'admin-listen': textOrNone('host:port for the operator routes, apart from the public port.'),
  'admin-token-file': textOrNone('File with the token that operator routes want.'),
  'api-key-file': textOrNone(
    'File with the API keys of callers, one a line, # for comments; after a key its class may follow: high, normal or low.',
  ),
  'tls-cert-file': textOrNone('PEM certificate chain; with --tls-key-file, listens with TLS.'),
  'tls-key-file': textOrNone('PEM private key of --tls-cert-file.'),
  'max-body-mb': number('Largest request body; larger ones get 413.', 64, { ...MIB, min: 0.01 }),
  'max-buffered-mb': number('Request bodies held at a time, all together; beyond it 503.', 512, {
    ...MIB,
    min: 0.01,
  }),
  'drain-timeout': number('How long running answers may finish after SIGTERM.', 30, SECONDS),
  'passthrough-path': list(
    'Further path of a backend to which GET and WebSockets may pass; /* at its end: all below. Nothing that generates.',
  ),
  'response-metadata': boolean('Put a `metadata` object into JSON answers.', false),
};

const backends = {
  backend: list('[name=]URL of a model server; repeat it for more than one.'),
  'backend-large': list('[name=]URL of a server of the multi-GPU pool; repeatable.'),
  adapter: choice(
    'Engine behind the backends; auto asks them.',
    ['auto', 'llamacpp', 'vllm', 'sglang', 'tgi', 'ollama', 'transformers', 'gpt-oss-hf', 'openai'],
    'auto',
  ),
  'backend-api-key-file': textOrNone('File with the key that the backends want.'),
  'model-config': textOrNone(
    "The model's config.json or GGUF file, where the engine does not tell its shape.",
  ),
  tokenizer: textOrNone(
    "The model's tokenizer.json, to count prompts with where the engine can't; gpt-oss needs none.",
  ),
  'kv-dtype': choiceOrNone("Type of KV elements, where it is not the engine's default.", [
    'bf16',
    'f16',
    'f32',
    'fp8',
    'q8_0',
    'q4_0',
  ]),
  'kv-layout': choice(
    'llama.cpp only: one KV pool for all slots (unified) or a share for each (split).',
    ['auto', 'split', 'unified'],
    'auto',
  ),
  attention: choice(
    'transformers only: eager attention holds score matrices during prefill, flash none. The demo simulates flash unless told otherwise.',
    ['eager', 'flash'],
    'eager',
  ),
  'image-tokens': integerOrNone(
    "Tokens that one image takes at most, where the model's config.json does not tell.",
    PART_TOKENS,
  ),
  'audio-tokens': integerOrNone('Tokens that one recording takes at most.', PART_TOKENS),
  'ollama-num-parallel': integerOrNone(
    'Ollama only: its OLLAMA_NUM_PARALLEL, which it tells nowhere; none given: one request at a time.',
    { min: 1, max: 1024 },
  ),
  'large-tensor-parallel': integer('GPUs that one server of the large pool spans.', 4, {
    min: 1,
    max: 64,
  }),
  'gpu-ids': list('Indexes or UUIDs of the GPUs the backends use; none given: all that are seen.'),
  'connect-timeout-ms': integer('Longest wait for a connection to a backend.', 5000, {
    unit: 'ms',
    min: 50,
    max: 60_000,
  }),
  'first-byte-timeout': number('Longest wait for the head of an answer.', 600, TIMEOUT_SECONDS),
  'stream-idle-timeout': number('Longest silence inside a stream.', 120, TIMEOUT_SECONDS),
  'write-stall-timeout': number(
    'Longest time a client may take nothing of its answer.',
    30,
    TIMEOUT_SECONDS,
  ),
};

const memory = {
  'gpu-memory-threshold': number('Share of GPU memory that may be filled.', 0.85, SHARE),
  'mem-safety-reserve-mb': number('GPU memory that is never promised.', 2048, MIB),
  'session-kv-limit-mb': number('KV memory of one session.', 512, { ...MIB, min: 1 }),
  'max-kv-gb': number('KV memory that idle sessions may keep, all together.', 20, {
    unit: 'GiB',
    min: 0,
    max: 16_384,
  }),
  'idle-timeout-seconds': number('A session idle for longer is dropped.', 300, {
    ...SECONDS,
    min: 1,
  }),
  'large-req-tokens': integer('A longer prompt prefers the large pool.', 8000, {
    unit: 'tokens',
    min: 1,
    max: 100_000_000,
  }),
  'large-req-kv-mb': number('A request with more KV prefers the large pool.', 6000, {
    ...MIB,
    min: 1,
  }),
  'pressure-low': number('Upper end of level low, on engines without a pool.', 0.7, SHARE),
  'pressure-medium': number('Upper end of level medium.', 0.8, SHARE),
  'pressure-high': number('Upper end of level high.', 0.85, SHARE),
  'pressure-critical': number('Upper end of level critical; emergency is above.', 0.9, SHARE),
  'pressure-basis': choice(
    'Pressure of engines without a pool: share of the KV budget, or of the whole GPU.',
    ['budget', 'gpu'],
    'budget',
  ),
  'pool-pressure-medium': number(
    'Where level medium begins on engines with a KV pool: forecast peak over capacity.',
    1,
    POOL_SHARE,
  ),
  'pool-pressure-high': number('Where level high begins there.', 1.05, POOL_SHARE),
  'pool-pressure-critical': number('Where level critical begins there.', 1.1, POOL_SHARE),
  'pool-pressure-emergency': number('Where level emergency begins there.', 1.2, POOL_SHARE),
  hysteresis: number('How far pressure must fall below a threshold to leave its level.', 0.03, {
    min: 0,
    max: 0.5,
  }),
  'min-dwell': number('Shortest time in a level before it falls.', 5, SECONDS),
};

const admission = {
  mode: choice(
    'observe decides and reports, and changes nothing.',
    ['enforce', 'observe'],
    'enforce',
  ),
  reserve: choice(
    'What a request reserves: what all requests together will need at their peak, but for a small chance (chance), or its prompt and all of its max tokens (worst-case).',
    ['chance', 'worst-case'],
    'chance',
  ),
  'overrun-probability': numberOrNone(
    'Chance that is taken that requests come to need more than there is. Not given: 0.000001 where an overrun ends requests (dynamic memory, unified slots), 0.01 where the engine preempts.',
    { min: 1e-12, max: 0.5 },
  ),
  'short-wait': number('A wait predicted to be this short comes before a shrink.', 2, SECONDS),
  'admission-order': listOf(
    'What is tried, in order, for a request that does not fit; a step left out is off.',
    ['route', 'short-queue', 'shrink', 'queue'],
    ['route', 'short-queue', 'shrink', 'queue'],
  ),
  'shrink-floor': number('A shrink grants at least this share of what was asked.', 0.5, SHARE),
  'min-output-tokens': integer('Output below which nothing is shrunk or degraded.', 256, {
    unit: 'tokens',
    min: 1,
    max: 1_000_000,
  }),
  degrade: choice(
    'What pressure may change: the whole table, only what frees memory, or nothing.',
    ['seed', 'memory-only', 'off'],
    'seed',
  ),
  'queue-max': integer('Requests that may wait, all together.', 64, { min: 0, max: 100_000 }),
  'queue-timeout': number('Longest wait of a request.', 30, SECONDS),
  'queue-target': number(
    'Longest predicted wait that a request may join while the queue has not been empty for 10 s; beyond it, it is refused at once and told when to come back. A burst may wait as long as --queue-timeout.',
    8,
    SECONDS,
  ),
  'max-priority': choice(
    'Highest class that a request may claim (X-Kvgate-Priority) where callers show no API keys; with --api-key-file each key has its own.',
    ['high', 'normal', 'low'],
    'normal',
  ),
  'max-concurrency': integerOrNone('Requests in flight on one backend; not given: as it comes.', {
    min: 1,
    max: 100_000,
  }),
  'dynamic-thresholds': boolean(
    'Let requests together fill less of a backend that has preempted, overflowed or run out of memory, down to half, and again more the longer it is quiet. POST /admin/dynamic-thresholds switches it at run time.',
    false,
  ),
};

const probe = {
  'gpu-source': choice(
    'Where GPU memory is read.',
    ['auto', 'nvml', 'nvidia-smi', 'dcgm', 'unified', 'simulated', 'none'],
    'auto',
  ),
  'dcgm-url': textOrNone(
    'Page of a DCGM exporter; with --gpu-source dcgm http://127.0.0.1:9400/metrics unless given.',
  ),
  'poll-interval-ms': integer('Time between two readings.', 500, {
    unit: 'ms',
    min: 50,
    max: 60_000,
  }),
  'stale-after-ms': integer('Age at which a reading counts as unknown.', 5000, {
    unit: 'ms',
    min: 100,
    max: 600_000,
  }),
  'on-stale': choice(
    'Without a fresh reading: run on the ledger with a lowered budget, reject, or let pass.',
    ['ledger', 'reject', 'pass'],
    'ledger',
  ),
};

const state = {
  'state-dir': textOrNone(
    'Folder in which what was learned of output lengths is kept; made where it is missing. None: it is learned anew after each start.',
  ),
  'decision-log': textOrNone(
    'File that gets one JSON line for each decision and each answer, without prompts; `kvgate train` learns from it, `kvgate replay` plays it under other settings.',
  ),
};

const telemetry = {
  'log-level': choice(
    'Least severe lines that are logged.',
    ['trace', 'debug', 'info', 'warn', 'error', 'silent'],
    'info',
  ),
  'log-format': choice(
    'Log lines for machines or people; auto: pretty on a terminal, else json.',
    ['auto', 'json', 'pretty'],
    'auto',
  ),
};

const simulatedServer = {
  'simulated-engine': choice(
    'How the simulated server holds KV memory.',
    ['dynamic', 'paged', 'slots'],
    'dynamic',
  ),
  'simulated-gpu-mb': integer('Memory of the simulated GPU.', 81_559, {
    unit: 'MiB',
    min: 1024,
    max: 16_777_216,
  }),
  'simulated-speed': number('Speed of the simulated server; 2 is twice as fast.', 1, {
    min: 0.01,
    max: 10_000,
  }),
  'simulated-seed': integer('Seed of everything the simulated server draws by chance.', 1, {
    min: 0,
    max: 2_147_483_647,
  }),
};

/** The table by group, in the order of the help text and of docs/flags.md. */
export const OPTION_GROUPS: Readonly<Record<string, Readonly<Record<string, Option>>>> = {
  Server: server,
  Backends: backends,
  Memory: memory,
  Admission: admission,
  Probe: probe,
  State: state,
  Telemetry: telemetry,
  'Simulated server (kvgate demo)': simulatedServer,
};

export const OPTIONS = {
  ...server,
  ...backends,
  ...memory,
  ...admission,
  ...probe,
  ...state,
  ...telemetry,
  ...simulatedServer,
};

export type OptionName = keyof typeof OPTIONS;

/** One value for every option, each of its own type and in its own unit. */
export type OptionValues = { readonly [N in OptionName]: (typeof OPTIONS)[N]['default'] };

export const OPTION_NAMES = Object.keys(OPTIONS).filter(isOptionName);

/** Options that only the simulated server of `kvgate demo` has a use for. */
export const SIMULATED_NAMES = Object.keys(simulatedServer).filter(isOptionName);

export function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name);
}
