/**
 * The one frozen configuration of a process. Raw sources (flags, environment,
 * file) become this, or a list of every problem at once: see resolve.ts.
 */
import type { ModelFile } from '../memory/models/model-file.ts';
import type { PolicyConfig, Priority } from '../policy/types.ts';
import type { OptionValue } from './option.ts';

export interface BackendConfig {
  readonly name: string;
  /** Origin and optional path prefix, without a trailing slash. */
  readonly url: string;
  /** `default` for `--backend`, `large` for `--backend-large`. */
  readonly pool: 'default' | 'large';
}

/** A key that callers may show, and the highest class it may claim. */
export interface ApiKey {
  readonly key: string;
  readonly maxPriority: Priority;
}

/** Pressures above which the next level begins. */
export interface LevelThresholds {
  readonly medium: number;
  readonly high: number;
  readonly critical: number;
  readonly emergency: number;
}

export interface Config {
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly adminListen: { readonly host: string; readonly port: number } | null;
    /** Secrets are read from their files once, at start. */
    readonly adminToken: string | null;
    readonly apiKeys: readonly ApiKey[];
    /** The highest class that a request may claim where no keys are asked for. */
    readonly maxPriority: Priority;
    readonly tls: { readonly certPem: string; readonly keyPem: string } | null;
    readonly maxBodyBytes: number;
    readonly maxBufferedBytes: number;
    readonly drainTimeoutMs: number;
    readonly responseMetadata: boolean;
    /** Where GET and WebSockets may pass besides what the adapters name; `/*` ends one that holds below. */
    readonly passthroughPaths: readonly string[];
  };
  readonly backends: readonly BackendConfig[];
  readonly engine: {
    readonly adapter:
      | 'auto'
      | 'llamacpp'
      | 'vllm'
      | 'ollama'
      | 'transformers'
      | 'sglang'
      | 'tgi'
      | 'gpt-oss-hf'
      | 'openai';
    readonly backendApiKey: string | null;
    /** What `--model-config` names; null when not given. */
    readonly modelConfig: ModelFile | null;
    /** The tokenizer.json of `--tokenizer`; a worker reads it. */
    readonly tokenizerPath: string | null;
    readonly kvBytesPerElement: number | null;
    readonly kvLayout: 'auto' | 'split' | 'unified';
    readonly attention: 'eager' | 'flash';
    /** Tokens that one image or one recording takes at most; null: the operator does not say. */
    readonly imageTokens: number | null;
    readonly audioTokens: number | null;
    /** Requests that Ollama runs at a time; null: the operator does not say. */
    readonly ollamaNumParallel: number | null;
    /** GPUs that one instance of the large pool spans. */
    readonly largeTensorParallel: number;
    readonly connectTimeoutMs: number;
    readonly firstByteTimeoutMs: number;
    readonly streamIdleTimeoutMs: number;
    readonly writeStallTimeoutMs: number;
  };
  readonly memory: {
    readonly gpuMemoryThreshold: number;
    readonly safetyReserveBytes: number;
    readonly maxIdleKvBytes: number;
    readonly sessionIdleMs: number;
    readonly pressureBasis: 'budget' | 'gpu';
    readonly pressure: LevelThresholds;
    readonly poolPressure: LevelThresholds;
    readonly hysteresis: number;
    readonly minDwellMs: number;
  };
  readonly mode: 'enforce' | 'observe';
  readonly policy: PolicyConfig;
  readonly maxConcurrency: number | null;
  readonly dynamicThresholds: boolean;
  readonly probe: {
    readonly gpuSource: 'auto' | 'nvml' | 'nvidia-smi' | 'dcgm' | 'unified' | 'simulated' | 'none';
    /** null where it was not given: then `auto` asks no exporter. */
    readonly dcgmUrl: string | null;
    /** Indexes or UUIDs of the GPUs the backends use; empty: all that are seen. */
    readonly gpuIds: readonly string[];
    readonly pollIntervalMs: number;
    readonly staleAfterMs: number;
    readonly onStale: 'ledger' | 'reject' | 'pass';
  };
  readonly state: {
    /** Where what was learned is kept; null: nowhere. */
    readonly dir: string | null;
    readonly decisionLogFile: string | null;
  };
  readonly telemetry: {
    readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
    readonly logFormat: 'auto' | 'json' | 'pretty';
  };
  /**
   * Every option by name, as it was given and where: for the banner and for
   * reports. Holds no secret, since secrets are only ever named by their files.
   */
  readonly options: Readonly<Record<string, ResolvedOption>>;
}

export interface ResolvedOption {
  /** In the option's own unit (options.ts), unlike the fields above. */
  readonly value: OptionValue;
  /** `--port`, `KVGATE_PORT`, the file's name, or `default`. */
  readonly source: string;
}

/** The simulated server of `kvgate demo`. */
export interface DemoConfig {
  readonly engine: 'dynamic' | 'paged' | 'slots';
  readonly gpuBytes: number;
  /** 1 is the speed of the real GPU that is simulated. */
  readonly speed: number;
  readonly seed: number;
  readonly attention: 'eager' | 'flash';
}
