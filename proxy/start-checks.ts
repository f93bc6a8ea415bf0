/** The first look at what is to be guarded, and what makes a start pointless. */
import { chargeOf } from './memory/charge.ts';
import type { PolicyConfig } from './policy/types.ts';
import type { Capacities } from './state/capacities.ts';
import type { EngineMonitor } from './state/engine-monitor.ts';
import type { GpuMonitor } from './state/gpu-monitor.ts';
import { type Instance, isServing } from './state/pools.ts';

const MIB = 1024 ** 2;

const FIRST_SAMPLE_WAIT_MS = 5_000;

/**
 * Begins to watch engines and GPUs, and waits for what they say first. GPUs
 * second: what an idle server uses is learned from samples taken while it is
 * known to serve.
 */
export async function firstLook({
  engines,
  gpu,
}: {
  readonly engines: EngineMonitor;
  readonly gpu: GpuMonitor;
}): Promise<void> {
  await engines.start();
  await gpu.start(gpu.sourceName === 'none' ? 0 : FIRST_SAMPLE_WAIT_MS);
}

/** Why an instance can never serve as configured; null when it can, or when it is too early to tell. */
export function unusableReason(
  instance: Instance,
  capacities: Capacities,
  policy: Pick<PolicyConfig, 'minOutputTokens'>,
): string | null {
  if (instance.health.state === 'unusable') {
    return `${instance.name} (${instance.url}): ${instance.health.why}`;
  }
  if (!isServing(instance)) return null;
  const { layout } = instance.facts;
  const capacity = capacities.of(instance);
  if (layout.model !== 'dynamic' || capacity.state !== 'known') return null;

  const least = chargeOf(layout, 1, policy.minOutputTokens, 1, 1);
  if (least.peakUnits <= capacity.units) return null;
  const needed = Math.ceil(least.peakUnits / MIB);
  const free = Math.floor(capacity.units / MIB);
  return (
    `${instance.name} (${instance.url}): the smallest useful request ` +
    `(1 prompt token, ${policy.minOutputTokens} output tokens) needs ${needed} MiB, but only ${free} MiB ` +
    'are left: min(total x gpu-memory-threshold, total - mem-safety-reserve-mb) less what is in use while idle.'
  );
}
