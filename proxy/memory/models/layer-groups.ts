/**
 * Layers gathered into groups of one shape, in the order in which the model
 * first has them.
 */
import type { AttentionShapes } from './attention-shapes.ts';
import type { ConfigFields } from './config-fields.ts';
import { indexerRule, indexerShape } from './indexer-keys.ts';
import type { LayerKind } from './layer-kinds.ts';
import type { LayerPlan } from './layer-plan.ts';
import { layerWindows } from './layer-windows.ts';
import type { ModelFamily } from './model-family.ts';
import type { LayerGroup, StateGroup } from './model-spec.ts';

export type LayerShape = Omit<LayerGroup, 'layers'>;

const HOLDS_KV: ReadonlySet<LayerKind> = new Set([
  'full',
  'sliding',
  'chunked',
  'indexed',
  'hybrid',
]);
const HOLDS_STATE: ReadonlySet<LayerKind> = new Set(['state', 'hybrid']);

/** The KV of all layers. An indexer's keys are a group of their own. */
export function layerGroups(
  fields: ConfigFields,
  plan: LayerPlan,
  attention: AttentionShapes,
): readonly LayerGroup[] {
  const windowOf = layerWindows(fields, plan.listed);
  const kinds = plan.kinds.filter((kind) => HOLDS_KV.has(kind));
  const shapes: LayerShape[] = kinds.map((kind) => ({
    ...attention.shapeOf(kind),
    ...windowOf(kind),
  }));
  if (kinds.includes('indexed')) shapes.push(...indexerShapes(fields, plan.kinds));
  return gather(shapes);
}

function indexerShapes(fields: ConfigFields, kinds: readonly LayerKind[]): LayerShape[] {
  const hasIndexer = indexerRule(fields, kinds.length);
  const shape = { ...indexerShape(fields), windowTokens: null };
  return kinds.flatMap((kind, layer) => (kind === 'indexed' && hasIndexer(layer) ? [shape] : []));
}

/** One group for each shape, which must have its fields in the same order throughout. */
export function gather(shapes: readonly LayerShape[]): readonly LayerGroup[] {
  const groups = new Map<string, LayerGroup>();
  for (const shape of shapes) {
    const key = JSON.stringify(shape);
    groups.set(key, { ...shape, layers: (groups.get(key)?.layers ?? 0) + 1 });
  }
  return [...groups.values()];
}

/** The states of all layers that keep one: they are of one shape in every family. */
export function stateGroups(
  fields: ConfigFields,
  plan: LayerPlan,
  family: ModelFamily,
): readonly StateGroup[] {
  const layers = plan.kinds.filter((kind) => HOLDS_STATE.has(kind)).length;
  if (layers === 0 || family.states === null) return [];
  return [{ layers, ...family.states(fields) }];
}
