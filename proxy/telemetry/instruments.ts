/** Every metric with its name, help and labels. The only importer of prom-client. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

const MODEL = ['model_id', 'model_size', 'dtype', 'gpu_mode', 'pool', 'instance'] as const;

const TTFT_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7, 10, 20, 30, 60, 120];
const INTER_TOKEN_BUCKETS = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5];
const END_TO_END_BUCKETS = [0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600];
const WAIT_BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120];
const WAIT_ERROR_BUCKETS = [0.05, 0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10, 50];
/** 1 MiB to 64 GiB. */
const KV_BUCKETS = Array.from({ length: 9 }, (_, step) => 2 ** (20 + 2 * step));
/** Below 0 the estimate was too small. */
const ERROR_BUCKETS = [-0.5, -0.25, -0.1, -0.05, -0.01, 0, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5];

export type Instruments = ReturnType<typeof createInstruments>;

/** A registry of its own: two proxies in one process, or two tests, do not share counts. */
export function createInstruments() {
  const registry = new Registry();
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name, help, labelNames, registers: [registry] });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers: [registry] });
  const histogram = <L extends string>(
    name: string,
    help: string,
    labelNames: readonly L[],
    buckets: number[],
  ) => new Histogram<L>({ name, help, labelNames, buckets, registers: [registry] });

  return {
    registry,
    events: {
      decisions: counter('kvgate_decisions_total', 'Decisions on requests.', [
        'action',
        'reason',
        'pool',
      ]),
      rejected: counter('admission_rejected_total', 'Requests refused.', ['reason']),
      degraded: counter('degradation_triggered_total', 'Requests changed by the level.', [
        'level',
        ...MODEL,
      ]),
      tokens: counter('kvgate_tokens_total', 'Tokens of answered requests.', ['kind', ...MODEL]),
      prefixHits: counter(
        'kvgate_prefix_cache_hit_tokens_total',
        'Prompt tokens the engine had in its prefix cache.',
        MODEL,
      ),
      underEstimates: counter(
        'kvgate_estimate_under_total',
        'Requests that took more KV memory than estimated.',
        MODEL,
      ),
      headroomMoves: counter('kvgate_headroom_moves_total', 'Moves of the headroom.', [
        'cause',
        ...MODEL,
      ]),
      evictions: counter('kvgate_session_evictions_total', 'Idle sessions dropped.', ['reason']),
      cancelled: counter('kvgate_streams_cancelled_total', 'Streams ended early.', ['by']),
      brakeActions: counter(
        'kvgate_brake_actions_total',
        'Requests that the emergency brake took back or ended.',
        ['action', ...MODEL],
      ),
      doubleEnds: counter('kvgate_lease_double_end_total', 'Leases ended twice: a bug.'),
      queueWait: histogram(
        'kvgate_queue_wait_seconds',
        'Time in the queue.',
        ['outcome', 'priority'],
        WAIT_BUCKETS,
      ),
      waitError: histogram(
        'kvgate_queue_wait_error_ratio',
        'Predicted wait of an admitted request against its real one: difference over the real one, or over 0.1 s where that was shorter.',
        [],
        WAIT_ERROR_BUCKETS,
      ),
      ttft: histogram('kvgate_ttft_seconds', 'Time to the first token.', MODEL, TTFT_BUCKETS),
      interToken: histogram(
        'kvgate_inter_token_seconds',
        'Time between two events with tokens.',
        MODEL,
        INTER_TOKEN_BUCKETS,
      ),
      endToEnd: histogram(
        'kvgate_e2e_seconds',
        'Time from request to end of answer.',
        MODEL,
        END_TO_END_BUCKETS,
      ),
      estimatedKv: histogram(
        'kvgate_estimated_kv_bytes',
        'KV memory that a request was estimated to hold at its end, at each decision.',
        ['action'],
        KV_BUCKETS,
      ),
      estimateError: histogram(
        'kvgate_estimate_error_ratio',
        'Estimated KV minus actual, over actual.',
        MODEL,
        ERROR_BUCKETS,
      ),
      promptError: histogram(
        'kvgate_prompt_tokens_error_ratio',
        'Expected prompt tokens minus actual, over actual.',
        ['source', ...MODEL],
        ERROR_BUCKETS,
      ),
      promptOutside: counter(
        'kvgate_prompt_tokens_outside_bounds_total',
        'Prompts whose tokens were outside the bounds they were decided with.',
        ['source', ...MODEL],
      ),
      outputForecasts: counter(
        'kvgate_output_forecasts_total',
        'Outputs that ended by themselves, by whether the 95 % forecast covered them.',
        ['covered', ...MODEL],
      ),
    },
    /** Set anew from state at every reading. */
    mirrors: {
      pressure: gauge('memory_pressure_gauge', 'KV memory pressure, 1 is full.', MODEL),
      level: gauge('kvgate_level', 'Level, 0 low to 4 emergency.', MODEL),
      headroom: gauge(
        'kvgate_headroom_share',
        'Share of the capacity that requests may fill together.',
        MODEL,
      ),
      braking: gauge('kvgate_braking', 'Whether the emergency brake is on.', MODEL),
      up: gauge('kvgate_backend_up', 'Whether the backend answers.', MODEL),
      reserved: gauge('kvgate_kv_reserved_bytes', 'KV memory promised to requests.', MODEL),
      used: gauge('kvgate_kv_used_bytes', 'KV memory in use.', MODEL),
      capacity: gauge('kvgate_kv_capacity_bytes', 'KV memory that may be promised.', MODEL),
      calibrationAlarm: gauge(
        'kvgate_calibration_alarm',
        'Whether the memory model does not explain what the engine shows.',
        MODEL,
      ),
      gpuUsed: gauge('kvgate_gpu_memory_used_bytes', 'GPU memory in use.', ['gpu']),
      gpuTotal: gauge('kvgate_gpu_memory_total_bytes', 'GPU memory.', ['gpu']),
      probeAge: gauge('kvgate_probe_age_seconds', 'Age of the newest reading.', ['source']),
      sessions: gauge('sessions_active', 'Sessions known, live and idle.'),
      queueDepth: gauge('kvgate_queue_depth', 'Requests waiting.'),
    },
    build: gauge('kvgate_build_info', 'Always 1; the version is a label.', ['version']),
  };
}
