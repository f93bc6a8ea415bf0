/** A JSON schema as openai-harmony writes it (src/encoding.rs, json_schema_to_typescript). */
import { entriesOf, isObject, listMember, member, stringMember } from '../bodies/json-value.ts';

export function libraryType(schema: unknown, indent: string): string {
  const oneOf = member(schema, 'oneOf');
  if (Array.isArray(oneOf)) return unionType(oneOf, indent);
  const type = member(schema, 'type');
  if (Array.isArray(type)) {
    const names = type.filter((name) => typeof name === 'string');
    if (names.length > 0) {
      return names.map((name) => (name === 'integer' ? 'number' : name)).join(' | ');
    }
  }
  switch (type) {
    case 'object':
      return objectType(schema, indent);
    case 'string': {
      const choices = listMember(schema, 'enum').filter((choice) => typeof choice === 'string');
      if (choices.length === 0) return 'string';
      return choices.map((choice) => `"${choice}"`).join(' | ');
    }
    case 'number':
    case 'integer':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'array': {
      const items = member(schema, 'items');
      return items === undefined ? 'Array<any>' : `${libraryType(items, indent)}[]`;
    }
    default:
      return 'any';
  }
}

function unionType(variants: readonly unknown[], indent: string): string {
  const lines = variants.map((variant) => {
    const notes = [stringMember(variant, 'description'), defaultOf(variant)];
    return `\n${indent} | ${nullableType(variant, `${indent}   `)}${noted(notes)}`;
  });
  return lines.join('');
}

function objectType(schema: unknown, indent: string): string {
  const about = stringMember(schema, 'description');
  const required = new Set(listMember(schema, 'required'));
  const lines = entriesOf(member(schema, 'properties')).map(([key, inner]) => {
    const name = `${key}${required.has(key) ? '' : '?'}`;
    const oneOf = member(inner, 'oneOf');
    const head = heading(inner, indent);
    if (Array.isArray(oneOf)) return `${head}${unionProperty(name, inner, oneOf, indent)}`;
    const type = nullableType(inner, `${indent}    `);
    return `${head}${indent}${name}: ${type},${noted([defaultOf(inner)])}\n`;
  });
  const comment = about === undefined ? '' : `${indent}// ${about}\n`;
  return `${comment}{\n${lines.join('')}${indent}}`;
}

/** Its title, its description unless it is a union, and its examples, as comments. */
function heading(schema: unknown, indent: string): string {
  const title = stringMember(schema, 'title');
  const about = stringMember(schema, 'description');
  const examples = listMember(schema, 'examples');
  const shown = examples.filter((example) => typeof example === 'string');
  return [
    ...(title === undefined ? [] : [`${indent}// ${title}\n${indent}//\n`]),
    ...(about === undefined || member(schema, 'oneOf') !== undefined
      ? []
      : [`${indent}// ${about}\n`]),
    ...(examples.length === 0 ? [] : [`${indent}// Examples:\n`]),
    ...shown.map((example) => `${indent}// - "${example}"\n`),
  ].join('');
}

/** A description is not said twice: that of the property, or that of its first variant. */
function unionProperty(
  name: string,
  schema: unknown,
  variants: readonly unknown[],
  indent: string,
): string {
  const about = stringMember(schema, 'description');
  const isSaidAbove = about !== undefined && about !== stringMember(variants[0], 'description');
  const fallback = defaultOf(schema);
  const lines = variants.map((variant, index) => {
    const own = stringMember(variant, 'description');
    const isSaid = (index === 0 && isSaidAbove) || own === about;
    const notes = [isSaid ? undefined : own, defaultOf(variant)];
    return `${indent} | ${nullableType(variant, `${indent}   `)}${noted(notes)}\n`;
  });
  return [
    isSaidAbove ? `${indent}// ${about}\n` : '',
    fallback === undefined ? '' : `${indent}// ${fallback}\n`,
    `${indent}${name}:\n`,
    ...lines,
    `${indent},\n`,
  ].join('');
}

function nullableType(schema: unknown, indent: string): string {
  const type = libraryType(schema, indent);
  const addsNull = member(schema, 'nullable') === true && !type.includes('null');
  return addsNull ? `${type} | null` : type;
}

/** Strings in quotes, but not those that are one of a choice. */
function defaultOf(schema: unknown): string | undefined {
  if (!isObject(schema) || !Object.hasOwn(schema, 'default')) return undefined;
  const isChoice = listMember(schema, 'enum').length > 0;
  const value = schema.default;
  const written = typeof value === 'string' && isChoice ? value : JSON.stringify(value);
  return `default: ${written}`;
}

function noted(notes: readonly (string | undefined)[]): string {
  const said = notes.filter((note) => note !== undefined);
  return said.length === 0 ? '' : ` // ${said.join(' ')}`;
}
