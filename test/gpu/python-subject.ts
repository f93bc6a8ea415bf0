/** gpt-oss of random weights under transformers, in a process of its own (gpt_oss_server.py). */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { freePort } from '../support/model-process.ts';
import type { Failed, Measured, Subject } from './subject.ts';

const SERVER = fileURLToPath(new URL('gpt_oss_server.py', import.meta.url));
/** 39 GiB of weights are drawn by chance first. */
const START_TIMEOUT_MS = 240_000;

export interface PythonSubjectOptions {
  readonly python: string;
  readonly spec: ModelSpec;
  readonly attention: Subject['attention'];
  readonly device: 'cuda' | 'cpu';
}

/** @throws Error with what it printed last, when it does not come up */
export async function pythonSubject(options: PythonSubjectOptions): Promise<Subject> {
  const { python, spec, attention, device } = options;
  const folder = mkdtempSync(join(tmpdir(), 'kvgate-gpu-'));
  const config = join(folder, 'config.json');
  writeFileSync(config, JSON.stringify(gptOssConfig(spec)));
  const port = await freePort();
  const flags = ['--config', config, '--attention', attention, '--device', device];
  const child = spawn(python, [SERVER, ...flags, '--port', String(port)]);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await listening(child);
    const told = (await (await fetch(`${url}/about`)).json()) as Record<string, unknown>;
    const about = Object.fromEntries(
      Object.entries(told).map(([key, value]) => [key, String(value)]),
    );
    return { about, attention, stop, measure: (...size) => measure(url, ...size) };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function measure(
  url: string,
  promptTokens: number,
  outputTokens: number,
): Promise<Measured | Failed> {
  const reply = await fetch(`${url}/measure`, {
    method: 'POST',
    body: JSON.stringify({ promptTokens, outputTokens }),
  });
  const answer = (await reply.json()) as Omit<Measured, 'promptTokens'> | { error: string };
  return { promptTokens, ...answer };
}

function listening(child: ReturnType<typeof spawn>): Promise<void> {
  return new Promise((resolve, reject) => {
    let printed = '';
    const fail = () => reject(new Error(`the server did not come up: ${printed.slice(-2_000)}`));
    const timer = setTimeout(fail, START_TIMEOUT_MS);
    const hear = (chunk: unknown) => {
      printed += String(chunk);
      if (!printed.includes('listening\n')) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      fail();
    });
  });
}

/** What transformers' GptOssConfig takes, from the same numbers that the estimate is made of. */
function gptOssConfig(spec: ModelSpec): Record<string, unknown> {
  const [first] = spec.groups;
  const layers = spec.groups.reduce((sum, group) => sum + group.layers, 0);
  const window = spec.groups.find((group) => group.windowTokens !== null)?.windowTokens;
  return {
    num_hidden_layers: layers,
    layer_types: Array.from({ length: layers }, (_, layer) =>
      layer % 2 === 0 ? 'sliding_attention' : 'full_attention',
    ),
    num_attention_heads: spec.queryHeads,
    num_key_value_heads: first?.kvHeads,
    head_dim: spec.headDim,
    hidden_size: spec.hiddenSize,
    intermediate_size: spec.intermediateSize,
    num_local_experts: spec.experts?.total,
    num_experts_per_tok: spec.experts?.activePerToken,
    sliding_window: window,
    vocab_size: spec.vocabSize,
    max_position_embeddings: spec.contextTokens,
  };
}
