/**
 * What a family of models does that the config.json of a model does not say.
 */
import type { FieldDefaults } from './config-fields.ts';
import type { LayerKind } from './layer-kinds.ts';
import { type KindRule, slidingAsTold } from './layer-rules.ts';
import type { StateReader } from './state-layers.ts';

export interface ModelFamily {
  /** For a file that does not list its layers' kinds. */
  readonly kinds: KindRule;
  /** Kinds that a list may have beside full, sliding and chunked ones. */
  readonly more: readonly LayerKind[];
  /** latent: one compressed vector a token; global: full layers have heads of their own. */
  readonly attention: 'plain' | 'latent' | 'global';
  readonly states: StateReader | null;
  /** Fields of unusual architectures that are understood here (unsupported-fields.ts). */
  readonly reads: RegExp | null;
  readonly defaults: FieldDefaults;
}

export function family(traits: Partial<ModelFamily>): ModelFamily {
  return {
    kinds: slidingAsTold,
    more: [],
    attention: 'plain',
    states: null,
    reads: null,
    defaults: {},
    ...traits,
  };
}
