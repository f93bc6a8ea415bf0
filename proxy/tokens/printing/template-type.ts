/** A JSON schema as the chat template of gpt-oss writes it (chat_template.jinja, render_typescript_type). */
import { entriesOf, isObject, listMember, member, stringMember } from '../bodies/json-value.ts';

/** Longer types of an array's items are left out. */
const LONGEST_ITEM_CHARS = 50;
/** The template leaves its own indentation in front of a nested type, and of a variant's default. */
const NESTED_INDENT = `\n${' '.repeat(16)}`;
const DEFAULT_INDENT = ' '.repeat(20);

export function templateType(schema: unknown): string {
  const type = member(schema, 'type');
  if (type === 'array') return arrayType(schema);
  if (Array.isArray(type) && type.length > 0) return type.join(' | ');
  const oneOf = listMember(schema, 'oneOf');
  if (oneOf.length > 0) return unionType(oneOf);
  switch (type) {
    case 'string': {
      const choices = listMember(schema, 'enum');
      if (choices.length > 0) return `"${choices.join('" | "')}"`;
      return `string${orNull(schema)}`;
    }
    case 'number':
    case 'integer':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'object':
      return objectType(schema);
    default:
      return 'any';
  }
}

function arrayType(schema: unknown): string {
  const items = member(schema, 'items');
  if (!isObject(items) || Object.keys(items).length === 0) return `any[]${orNull(schema)}`;
  const simple = ['string', 'number', 'integer', 'boolean'].includes(
    stringMember(items, 'type') ?? '',
  );
  const inner = simple ? simpleType(stringMember(items, 'type')) : templateType(items);
  const isLong = inner === 'object | object' || inner.length > LONGEST_ITEM_CHARS;
  return `${isLong ? 'any' : inner}[]${orNull(schema)}`;
}

function simpleType(name: string | undefined): string {
  return name === 'integer' ? 'number' : (name ?? 'any');
}

function unionType(oneOf: readonly unknown[]): string {
  if (oneOf.length > 1 && oneOf.some((variant) => member(variant, 'type') === 'object')) {
    return 'any';
  }
  const written = oneOf.map((variant) => {
    const about = stringMember(variant, 'description') ?? '';
    const value = member(variant, 'default');
    const comment = about === '' ? '' : `// ${about}`;
    const fallback =
      value === undefined ? '' : `${DEFAULT_INDENT}// default: ${JSON.stringify(value)}`;
    return `${templateType(variant)}${comment}${fallback}`;
  });
  return written.join(' | \n');
}

function objectType(schema: unknown): string {
  const properties = entriesOf(member(schema, 'properties'));
  if (properties.length === 0) return 'object';
  const required = new Set(listMember(schema, 'required'));
  const written = properties.map(([key, inner]) => {
    const mark = required.has(key) ? '' : '?';
    return `${key}${mark}: ${NESTED_INDENT}${templateType(inner)}`;
  });
  return `{\n${written.join(', ')}}`;
}

function orNull(schema: unknown): string {
  return member(schema, 'nullable') === true ? ' | null' : '';
}
