/**
 * Architectures whose KV or state has a shape that the layouts do not describe
 * yet. They are refused by name: the plain formula is wrong by 2 to 57 times
 * for them, in both directions.
 */
import type { ConfigFields } from './config-fields.ts';

const UNSUPPORTED: readonly (readonly [field: string, meaning: string])[] = [
  ['kv_lora_rank', 'multi-head latent attention'],
  ['linear_num_key_heads', 'linear attention'],
  ['linear_num_value_heads', 'linear attention'],
  ['full_attention_interval', 'linear attention'],
  ['hybrid_override_pattern', 'state-space layers'],
  ['mamba_num_heads', 'state-space layers'],
  ['mamba_d_state', 'state-space layers'],
  ['ssm_state_size', 'state-space layers'],
  ['attention_chunk_size', 'chunked attention'],
  ['num_kv_shared_layers', 'KV shared between layers'],
  ['global_head_dim', 'head sizes that differ between layers'],
  ['num_global_key_value_heads', 'KV heads that differ between layers'],
];

/** Leaves a problem in `fields` for the first field of an unsupported architecture. */
export function refuseUnsupported(fields: ConfigFields): void {
  for (const [field, meaning] of UNSUPPORTED) {
    const value = fields.raw(field);
    // Other models of a family carry the field as null, 0 or false.
    if (value !== null && value !== 0 && value !== false) {
      fields.reject(field, `${meaning} is not supported`);
    }
  }
}
