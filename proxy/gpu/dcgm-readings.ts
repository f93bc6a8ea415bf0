/**
 * Reads the page of a DCGM exporter. Framebuffer values are MiB; names and
 * labels as in NVIDIA/dcgm-exporter: etc/default-counters.csv and
 * internal/pkg/rendermetrics/render_metrics.go.
 */
import type { GpuReading } from '../state/gpu-source.ts';
import { type Sample, samplesNamed } from '../text/prometheus-text.ts';

const USED = 'DCGM_FI_DEV_FB_USED';
const FREE = 'DCGM_FI_DEV_FB_FREE';
/** Not told by older exporters; then `used` of their drivers has it in it. */
const RESERVED = 'DCGM_FI_DEV_FB_RESERVED';
const UTILIZATION = 'DCGM_FI_DEV_GPU_UTIL';

const MIB = 2 ** 20;
/** 16 TiB: no GPU comes near, so a larger figure is a misread one. */
const MAX_MIB = 2 ** 24;
const MAX_GPUS = 512;
/** Instances of GPU 0 have the indexes 100 + GPU_I_ID, those of GPU 1 200 + GPU_I_ID, ... */
const INSTANCE_INDEX_STEP = 100;

interface Device {
  /** The UUID, and for a MIG instance behind a slash the id that DCGM gives it: it tells no UUID of those. */
  readonly id: string;
  readonly gpuUuid: string;
  readonly index: number;
  readonly name: string;
  readonly isInstance: boolean;
  readonly values: Map<string, number>;
}

/**
 * @returns each GPU, or instead of one with MIG each of its instances
 * @throws Error when the page tells of no GPU
 */
export function dcgmReadings(page: string): readonly GpuReading[] {
  const devices = new Map<string, Device>();
  for (const sample of samplesNamed(page, [USED, FREE, RESERVED, UTILIZATION])) {
    const device = deviceOf(sample);
    if (device === null || (devices.size >= MAX_GPUS && !devices.has(device.id))) continue;
    const known = devices.get(device.id) ?? device;
    known.values.set(sample.name, sample.value);
    devices.set(device.id, known);
  }
  const all = [...devices.values()];
  if (all.length === 0) throw new Error(`its page has no ${USED} of a GPU`);
  const split = new Set(all.flatMap((device) => (device.isInstance ? device.gpuUuid : [])));
  return all.filter(({ isInstance, gpuUuid }) => isInstance || !split.has(gpuUuid)).map(reading);
}

/** The device of a sample by its labels; null when they name none. */
function deviceOf({ labels }: Sample): Device | null {
  const gpuUuid = labels.get('UUID') ?? labels.get('uuid') ?? '';
  const gpu = Number(labels.get('gpu') ?? Number.NaN);
  if (gpuUuid === '' || !Number.isInteger(gpu) || gpu < 0) return null;
  const model = labels.get('modelName') ?? 'GPU';
  const instance = labels.get('GPU_I_ID');
  const values = new Map<string, number>();
  if (instance === undefined) {
    return { id: gpuUuid, gpuUuid, index: gpu, name: model, isInstance: false, values };
  }
  return {
    id: `${gpuUuid}/${instance}`,
    gpuUuid,
    index: INSTANCE_INDEX_STEP * (gpu + 1) + (Number(instance) || 0),
    name: `${model} MIG ${labels.get('GPU_I_PROFILE') ?? instance}`,
    isInstance: true,
    values,
  };
}

function reading({ id, index, name, values }: Device): GpuReading {
  const used = mib(values.get(USED));
  const free = mib(values.get(FREE));
  const reserved = values.has(RESERVED) ? mib(values.get(RESERVED)) : 0;
  const utilization = values.get(UTILIZATION) ?? Number.NaN;
  const rest = {
    ...{ uuid: id, index, name },
    utilizationPercent: utilization >= 0 && utilization <= 100 ? utilization : null,
    processes: null,
  };
  if (used === null || free === null || reserved === null || used + free === 0) {
    const unknownWhy = `the exporter tells no sound ${USED} and ${FREE} of it`;
    return { ...rest, totalBytes: null, usedBytes: null, unknownWhy };
  }
  const totalBytes = (used + free + reserved) * MIB;
  return { ...rest, totalBytes, usedBytes: used * MIB, unknownWhy: null };
}

function mib(value: number | undefined): number | null {
  return value !== undefined && value >= 0 && value <= MAX_MIB ? value : null;
}
