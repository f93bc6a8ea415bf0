/** Builds the reader of GPU memory, with what it needs of this machine. */
import { readFile } from 'node:fs/promises';
import type { Config } from './config/config.ts';
import type { ChosenGpuSource } from './gpu/candidates.ts';
import { chooseGpuSource } from './gpu/choose.ts';
import { loadNvml } from './gpu/nvml-library.ts';
import { processesBehind } from './http/listening-process.ts';
import type { Clock } from './state/clock.ts';
import { EngineProcesses } from './state/engine-processes.ts';

const DCGM_URL = 'http://127.0.0.1:9400/metrics';
/** An exporter with every metric and many GPUs tells some hundred kilobytes. */
const MAX_PAGE_BYTES = 8 * 1024 ** 2;

/**
 * @param readSimulated reads the GPUs of a simulated backend, where there is one
 * @throws an error with the code `gpu_source_unavailable`: see chooseGpuSource
 */
export function composeGpuSource(
  { probe }: Config,
  clock: Clock,
  readSimulated: ((signal: AbortSignal) => Promise<unknown>) | null,
): Promise<ChosenGpuSource> {
  const url = probe.dcgmUrl ?? DCGM_URL;
  return chooseGpuSource(probe.gpuSource, {
    pollIntervalMs: probe.pollIntervalMs,
    clock,
    gpuIds: probe.gpuIds,
    searchPath: process.env.PATH ?? '',
    loadNvml: () => loadNvml(),
    readMeminfo: () => readFile('/proc/meminfo', 'utf8'),
    dcgm: { url, read: (signal) => readPage(url, signal), isGiven: probe.dcgmUrl !== null },
    ...(readSimulated === null ? {} : { readSimulated }),
  });
}

/** The processes of the backends' servers, as far as they run on this host. */
export function composeEngineProcesses({ backends }: Config, clock: Clock): EngineProcesses {
  const urls = new Map(backends.map(({ name, url }) => [name, url]));
  return new EngineProcesses(async (instance) => {
    const url = urls.get(instance);
    return url === undefined ? null : processesBehind(url);
  }, clock);
}

/** @throws Error when the answer is not a success, or larger than any real page */
export async function readPage(url: string, signal: AbortSignal): Promise<string> {
  const answer = await fetch(url, { signal, redirect: 'error' }).catch((error: unknown) => {
    throw new Error(reasonOf(error));
  });
  if (!answer.ok || answer.body === null) {
    await answer.body?.cancel();
    throw new Error(`HTTP status ${answer.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body) {
    bytes += chunk.byteLength;
    // Leaving the loop lets go of the connection.
    if (bytes > MAX_PAGE_BYTES) throw new Error(`a page of more than ${MAX_PAGE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A fetch says no more than that it failed; its cause says why. */
function reasonOf(error: unknown): string {
  const told = error as {
    readonly message?: string;
    readonly cause?: { readonly message?: string };
  };
  return told.cause?.message ?? told.message ?? String(error);
}
