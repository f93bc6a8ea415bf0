/**
 * vLLM's grouping of layers, layer by layer: get_kv_cache_groups of
 * v1/core/kv_cache_utils.py for models of attention alone. Like
 * vllm-block-manager.ts it shares nothing with proxy/memory.
 */
import type { Keeps, TableGroup } from './vllm-block-manager.ts';

export interface Layer {
  /** Bytes of a token. */
  readonly tokenBytes: number;
  readonly keeps: Keeps;
}

export interface Pool {
  readonly groups: readonly TableGroup[];
  readonly blockBytes: number;
}

/** @param hybridManager false: every layer is kept like a full one where one of them is */
export function groupLayers(
  layers: readonly Layer[],
  blockTokens: number,
  hybridManager: boolean,
): Pool {
  const hasFull = layers.some(({ keeps }) => keeps.kind === 'full');
  const managed = layers.map((layer): Layer => {
    return !hybridManager && hasFull ? { ...layer, keeps: { kind: 'full' } } : layer;
  });
  const kindOf = ({ keeps }: Layer) => JSON.stringify(keeps);
  const [first] = managed;
  if (first === undefined) return { groups: [], blockBytes: 0 };
  if (new Set(managed.map(kindOf)).size === 1) {
    const tokenBytes = managed.reduce((sum, layer) => sum + layer.tokenBytes, 0);
    return {
      groups: [{ blockTokens, keeps: first.keeps }],
      blockBytes: blockTokens * tokenBytes,
    };
  }
  const widest = Math.max(...managed.map(({ tokenBytes }) => tokenBytes));
  const alike = new Map<string, Layer[]>();
  for (const layer of managed) {
    const key = `${kindOf(layer)} ${layer.tokenBytes}`;
    alike.set(key, [...(alike.get(key) ?? []), layer]);
  }
  const sizes = [...alike.values()].map(({ length }) => length);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const layersOfGroup = most < least * 1.5 ? most : least;
  const groups: TableGroup[] = [];
  for (const [layer, ...others] of alike.values()) {
    if (layer === undefined) continue;
    const times = widest % layer.tokenBytes === 0 ? widest / layer.tokenBytes : 1;
    for (let done = 0; done <= others.length; done += layersOfGroup) {
      groups.push({ blockTokens: blockTokens * times, keeps: layer.keeps });
    }
  }
  return { groups, blockBytes: layersOfGroup * widest * blockTokens };
}
