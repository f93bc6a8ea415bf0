/** What it takes to forward a request, and how that can end well. */
import type { Adapter, GenerationRoute, Usage } from '../../backend-adapters/adapter.ts';
import type { LoopShare } from './loop-share.ts';
import type { ReadAnswer } from './read-answer.ts';
import type { Headers } from './respond.ts';
import type { Upstream } from './upstream.ts';

export interface ForwardTimeouts {
  readonly firstByteTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  readonly writeStallTimeoutMs: number;
}

export interface Forwarding {
  readonly upstream: Upstream;
  readonly adapter: Adapter;
  readonly route: GenerationRoute;
  readonly path: string;
  readonly headers: Record<string, string | string[]>;
  /** In pieces that make it up one after the other. */
  readonly body: readonly Uint8Array[];
  readonly streams: boolean;
  /** Whether the stream tells its usage for kvgate alone: the client did not ask for that event. */
  readonly withholdsUsage: boolean;
  /** Added to the answer. */
  readonly disclosed: Headers;
  /** Makes a whole JSON answer into what the client gets; null: it goes as it came. */
  readonly transform: ((answer: Buffer, read: ReadAnswer) => Buffer) | null;
  /** For what is long in an answer. */
  readonly share: LoopShare;
  readonly timeouts: ForwardTimeouts;
  /** Ends the exchange: its signal is passed to the backend, its reason says why. */
  readonly abort: AbortController;
  /** Called with all output tokens so far, whenever there are more. */
  readonly onTokens: (outputTokens: number) => void;
}

export type Ended =
  | { readonly how: 'complete'; readonly usage: Usage | null; readonly outputTokens: number }
  /** The engine refused the request itself; its answer was passed on. */
  | { readonly how: 'refused'; readonly status: number };
