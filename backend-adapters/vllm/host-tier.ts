/**
 * KV that vLLM keeps in host memory (vllm/config/vllm.py,
 * _post_init_kv_transfer_config): it saves computing a prefix again and is no
 * room for live requests. `--cpu-offload-gb` moves weights, not KV.
 */
import type { HostTier } from '../adapter.ts';
import { flagValue } from '../command-line.ts';
import { countField, field, listField, stringField } from '../engine-answer.ts';
import { isObject, jsonFlag } from './flags.ts';
import type { EngineMetrics, VllmMetrics } from './metrics.ts';

const BYTES_OF_GIB = 2 ** 30;

/** Connectors that keep KV on this host; the others pass it on to other engines. */
const HOST_CONNECTORS = ['OffloadingConnector', 'SimpleCPUOffloadConnector', 'HiSparseConnector'];

/** What the command line says of the tier. */
export interface HostTierSettings {
  readonly isOn: boolean;
  /** Of one engine, all its tensor-parallel workers together. */
  readonly capacityBytes: number | null;
}

export function hostTierSettings(flags: readonly string[] | null): HostTierSettings {
  const gib = Number(flagValue(flags ?? [], ['--kv-offloading-size']) ?? Number.NaN);
  if (gib > 0 && Number.isFinite(gib)) {
    const isOwn = flagValue(flags ?? [], ['--kv-offloading-backend']) !== 'lmcache';
    return { isOn: true, capacityBytes: isOwn ? Math.round(gib * BYTES_OF_GIB) : null };
  }
  const connectors = connectorsIn(jsonFlag(flags ?? [], ['--kv-transfer-config']));
  const host = connectors.find((connector) => {
    const name = stringField(connector, 'kv_connector') ?? '';
    return HOST_CONNECTORS.includes(name) || name.startsWith('LMCache');
  });
  if (host === undefined) return { isOn: false, capacityBytes: null };
  const extra = field(host, 'kv_connector_extra_config');
  return { isOn: true, capacityBytes: countField(extra, 'cpu_bytes_to_use') };
}

/** The connector, or those that a MultiConnector holds. */
function connectorsIn(
  config: Readonly<Record<string, unknown>> | null,
): readonly Readonly<Record<string, unknown>>[] {
  if (config === null) return [];
  const extra = field(config, 'kv_connector_extra_config');
  const nested = listField(extra, 'connectors').filter(isObject);
  return [config, ...nested];
}

/**
 * The tier of one engine; null where there is none. Its gauge counts what
 * transfers pin, not what may be dropped (vllm/v1/kv_offload/cpu/manager.py).
 */
export function hostTierOf(
  metrics: VllmMetrics,
  engine: EngineMetrics,
  settings: HostTierSettings,
): HostTier | null {
  const isOn = settings.isOn || metrics.hostBytes !== null || engine.hostUsage !== null;
  if (!isOn) return null;
  return {
    capacityBytes: metrics.hostBytes ?? settings.capacityBytes,
    usedShare: engine.hostUsage,
  };
}
