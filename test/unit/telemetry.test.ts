import { describe, expect, test } from '@jest/globals';
import type { InstanceTags, MetricsSnapshot } from '../../proxy/state/metrics.ts';
import { createLog, type LogOptions } from '../../proxy/telemetry/log.ts';
import { createMetrics } from '../../proxy/telemetry/metrics.ts';

const TAGS: InstanceTags = {
  instance: 'default-1',
  pool: 'default',
  modelId: 'gpt-oss-20b',
  modelSize: '20b',
  dtype: 'mxfp4',
  gpuMode: 'single',
};
const LABELS =
  'instance="default-1",pool="default",model_id="gpt-oss-20b",model_size="20b",dtype="mxfp4",gpu_mode="single"';

const EMPTY: MetricsSnapshot = {
  instances: [],
  gpus: [],
  probes: [],
  activeSessions: 0,
  queueDepth: 0,
};

const BUSY: MetricsSnapshot = {
  instances: [
    {
      ...TAGS,
      up: true,
      level: 'critical',
      pressure: 0.87,
      headroomShare: 0.9,
      braking: true,
      reservedBytes: 1000,
      usedBytes: null,
      calibrationAlarm: false,
      capacityBytes: 2000,
    },
  ],
  gpus: [{ gpu: '0', usedBytes: 5, totalBytes: null }],
  probes: [{ source: 'nvidia-smi', ageSeconds: 0.5 }],
  activeSessions: 3,
  queueDepth: 4,
};

describe('metrics', () => {
  test('the four required names and ours are there from the first page on', async () => {
    const page = await createMetrics(() => EMPTY, '1.2.3').text();
    const types = new Map([...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((m) => [m[1], m[2]]));
    expect(Object.fromEntries(types)).toMatchObject({
      memory_pressure_gauge: 'gauge',
      sessions_active: 'gauge',
      admission_rejected_total: 'counter',
      degradation_triggered_total: 'counter',
      kvgate_decisions_total: 'counter',
      kvgate_queue_wait_seconds: 'histogram',
      kvgate_ttft_seconds: 'histogram',
      kvgate_estimate_error_ratio: 'histogram',
    });
    expect(page).toContain('kvgate_build_info{version="1.2.3"} 1');
  });

  test('names follow the rules of Prometheus', async () => {
    const page = await createMetrics(() => EMPTY, '1').text();
    const metrics = [...page.matchAll(/^# HELP (\S+) (.+)\n# TYPE \S+ (\S+)$/gm)];
    expect(metrics.length).toBeGreaterThan(20);
    for (const [, name = '', help, type] of metrics) {
      expect(name).toMatch(/^[a-z][a-z0-9_]*$/);
      expect(help).toMatch(/\.$/);
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
      if (type === 'histogram') expect(name).toMatch(/_(seconds|ratio|bytes)$/);
      expect(name).not.toMatch(/_(ms|milliseconds|mb|percent)(_|$)/);
    }
  });

  test('state is mirrored when it is read, and the unknown has no sample', async () => {
    let snapshot = BUSY;
    const metrics = createMetrics(() => snapshot, '1');
    const page = await metrics.text();
    expect(page).toContain(`memory_pressure_gauge{${LABELS}} 0.87`);
    expect(page).toContain(`kvgate_level{${LABELS}} 3`);
    expect(page).toContain(`kvgate_headroom_share{${LABELS}} 0.9`);
    expect(page).toContain(`kvgate_kv_reserved_bytes{${LABELS}} 1000`);
    expect(page).not.toContain('kvgate_kv_used_bytes{');
    expect(page).toContain('kvgate_gpu_memory_used_bytes{gpu="0"} 5');
    expect(page).not.toContain('kvgate_gpu_memory_total_bytes{');
    expect(page).toContain('kvgate_probe_age_seconds{source="nvidia-smi"} 0.5');
    expect(page).toContain('sessions_active 3');
    expect(page).toContain('kvgate_queue_depth 4');

    snapshot = EMPTY;
    const later = await metrics.text();
    expect(later).not.toContain('default-1');
    expect(later).toContain('sessions_active 0');
  });

  test.each([
    ['a wait as foreseen', 2_000, 2_000, 0],
    ['one half as long', 2_000, 1_000, 1],
    ['one twice as long', 1_000, 2_000, 0.5],
    ['a short one, over a tenth of a second', 30, 10, 0.2],
    ['none at all', 50, 0, 0.5],
  ])('the error of a predicted wait: %s', async (_what, predictedMs, realMs, error) => {
    const metrics = createMetrics(() => EMPTY, '1');
    metrics.waitPredicted({ predictedMs, realMs });
    const page = await metrics.text();
    expect(page).toContain(`kvgate_queue_wait_error_ratio_sum ${error}\n`);
    expect(page).toContain('kvgate_queue_wait_error_ratio_count 1');
  });

  test('a move of the headroom counts by its cause', async () => {
    const metrics = createMetrics(() => EMPTY, '1');
    metrics.headroomMoved('oom', TAGS);
    expect(await metrics.text()).toContain(`kvgate_headroom_moves_total{cause="oom",${LABELS}} 1`);
  });

  test('a refusal counts as a decision and as a rejection', async () => {
    const metrics = createMetrics(() => EMPTY, '1');
    metrics.decided({ action: 'accept', reason: 'fits', pool: 'default' });
    metrics.decided({ action: 'reject', reason: 'queue_full', charge: { kvBytes: 5 * 2 ** 20 } });
    const page = await metrics.text();
    expect(page).toContain(
      'kvgate_decisions_total{action="accept",reason="fits",pool="default"} 1',
    );
    expect(page).toContain('kvgate_decisions_total{action="reject",reason="queue_full",pool=""} 1');
    expect(page).toContain('admission_rejected_total{reason="queue_full"} 1');
    // What is not known has no sample.
    expect(page).not.toContain('kvgate_estimated_kv_bytes_count{action="accept"}');
    expect(page).toContain('kvgate_estimated_kv_bytes_bucket{le="16777216",action="reject"} 1');
    expect(page).toContain('kvgate_estimated_kv_bytes_bucket{le="4194304",action="reject"} 0');
    expect(page).not.toContain('admission_rejected_total{reason="fits"}');
  });

  test('estimates are compared with what was held', async () => {
    const metrics = createMetrics(() => EMPTY, '1');
    metrics.leaseSettled({ estimatedUnits: 150, actualUnits: 100 }, TAGS);
    metrics.leaseSettled({ estimatedUnits: 80, actualUnits: 100 }, TAGS);
    metrics.leaseSettled({ estimatedUnits: 80, actualUnits: 0 }, TAGS);
    const page = await metrics.text();
    expect(page).toContain(`kvgate_estimate_error_ratio_bucket{le="-0.1",${LABELS}} 1`);
    expect(page).toContain(`kvgate_estimate_error_ratio_bucket{le="0.5",${LABELS}} 2`);
    expect(page).toContain(`kvgate_estimate_error_ratio_count{${LABELS}} 2`);
    expect(page).toContain(`kvgate_estimate_under_total{${LABELS}} 1`);
  });

  test('prompts are compared with what the engine counted, by where the estimate came from', async () => {
    const metrics = createMetrics(() => EMPTY, '1');
    const bytes = { lo: 10, expected: 110, hi: 400, source: 'bytes' } as const;
    metrics.promptCounted(bytes, 100, TAGS);
    metrics.promptCounted(bytes, 401, TAGS);
    metrics.promptCounted(bytes, 9, TAGS);
    metrics.promptCounted(bytes, 0, TAGS);
    const page = await metrics.text();
    const tags = `source="bytes",${LABELS}`;
    expect(page).toContain(`kvgate_prompt_tokens_error_ratio_bucket{le="0.25",${tags}} 2`);
    expect(page).toContain(`kvgate_prompt_tokens_error_ratio_bucket{le="0.05",${tags}} 1`);
    expect(page).toContain(`kvgate_prompt_tokens_error_ratio_count{${tags}} 3`);
    expect(page).toContain(`kvgate_prompt_tokens_outside_bounds_total{${tags}} 2`);
  });

  test('forecasts of outputs are counted by whether they held', async () => {
    const metrics = createMetrics(() => EMPTY, '1');
    metrics.outputForecast(true, TAGS);
    metrics.outputForecast(true, TAGS);
    metrics.outputForecast(false, TAGS);
    const page = await metrics.text();
    expect(page).toContain(`kvgate_output_forecasts_total{covered="true",${LABELS}} 2`);
    expect(page).toContain(`kvgate_output_forecasts_total{covered="false",${LABELS}} 1`);
  });

  test('everything that can be counted is counted, and names no session or request', async () => {
    const metrics = createMetrics(() => BUSY, '1');
    metrics.decided({ action: 'accept', reason: 'fits', pool: 'default' });
    metrics.degraded('high', TAGS);
    metrics.waitedInQueue(1.5, 'admitted', 'high');
    metrics.observeTtft(0.2, TAGS);
    metrics.observeInterToken(0.02, TAGS);
    metrics.observeEndToEnd(3, TAGS);
    metrics.tokens('prompt', 100, TAGS);
    metrics.prefixCacheHit(64, TAGS);
    metrics.leaseEndedTwice();
    metrics.sessionEvicted('lru');
    metrics.streamCancelled('client');
    metrics.brakeActed('take_back', TAGS);
    const page = await metrics.text();
    for (const sample of [
      `degradation_triggered_total{level="high",${LABELS}} 1`,
      'kvgate_queue_wait_seconds_sum{outcome="admitted",priority="high"} 1.5',
      `kvgate_ttft_seconds_count{${LABELS}} 1`,
      `kvgate_inter_token_seconds_count{${LABELS}} 1`,
      `kvgate_e2e_seconds_sum{${LABELS}} 3`,
      `kvgate_tokens_total{kind="prompt",${LABELS}} 100`,
      `kvgate_prefix_cache_hit_tokens_total{${LABELS}} 64`,
      'kvgate_lease_double_end_total 1',
      'kvgate_session_evictions_total{reason="lru"} 1',
      'kvgate_streams_cancelled_total{by="client"} 1',
      `kvgate_brake_actions_total{action="take_back",${LABELS}} 1`,
      `kvgate_braking{${LABELS}} 1`,
    ]) {
      expect(page).toContain(sample);
    }
    const labelNames = new Set([...page.matchAll(/[{,](\w+)="/g)].map((match) => match[1]));
    for (const name of labelNames) expect(name).not.toMatch(/session|tenant|request/);
  });
});

describe('log', () => {
  function logged(options: Omit<LogOptions, 'sink'>) {
    const lines: string[] = [];
    const log = createLog({ ...options, sink: { write: (line) => lines.push(line) } });
    return { log, lines };
  }

  test('json: one object a line, level as a word, ISO time', () => {
    const { log, lines } = logged({ level: 'info', format: 'json' });
    log.info('Admission check', { action: 'reject', retryAfterMs: 1500, pool: null });
    log.debug('not at this level');
    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith('}\n')).toBe(true);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      action: 'reject',
      retryAfterMs: 1500,
      pool: null,
      msg: 'Admission check',
    });
  });

  test('silent is silent', () => {
    const { log, lines } = logged({ level: 'silent', format: 'json' });
    log.error('nothing');
    expect(lines).toEqual([]);
  });

  test('text is bounded', () => {
    const { log, lines } = logged({ level: 'info', format: 'json' });
    log.warn('m'.repeat(10_000), { why: 'w'.repeat(10_000) });
    const { msg, why } = JSON.parse(lines[0] ?? '') as { msg: string; why: string };
    expect(msg).toHaveLength(512);
    expect(why).toBe(`${'w'.repeat(511)}…`);
  });

  test('pretty: one plain line, whatever a field holds', () => {
    const { log, lines } = logged({ level: 'debug', format: 'pretty' });
    log.error('Backend failed', {
      instance: 'default-1',
      why: 'line 1\nline 2 \u001b[31mred\u009b',
      n: 3,
      ok: false,
    });
    expect(lines).toEqual([
      expect.stringMatching(
        /^\d\d:\d\d:\d\d\.\d{3} ERROR Backend failed instance=default-1 why="line 1\\nline 2 \\u001b\[31mred\ufffd" n=3 ok=false\n$/,
      ),
    ]);
  });
});
