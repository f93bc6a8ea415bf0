/** A model of the catalog that a test knows to be there. */
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';

export function knownModel(name: string): ModelSpec {
  const spec = findModel(name);
  if (spec === null) throw new Error(`${name} is not in the catalog`);
  return spec;
}
