/** Function tools as TypeScript, the way each printer of Harmony writes it. */
import type { Tool } from '../bodies/chat.ts';
import { entriesOf, isObject, listMember, member, stringMember } from '../bodies/json-value.ts';
import { libraryType } from './library-type.ts';
import { templateType } from './template-type.ts';

/** openai/gpt-oss: chat_template.jinja, render_tool_namespace. */
export function templateTools(tools: readonly Tool[]): string {
  const types = tools.map(({ name, description, parameters }) => {
    const properties = entriesOf(member(parameters, 'properties'));
    const required = new Set(listMember(parameters, 'required'));
    const lines = properties.map(([key, schema]) => {
      const about = stringMember(schema, 'description') ?? '';
      const comment = about === '' ? '' : `// ${about}\n`;
      const mark = required.has(key) ? '' : '?';
      return `${comment}${key}${mark}: ${templateType(schema)}${templateDefault(schema)},\n`;
    });
    const takes = properties.length === 0 ? '()' : `(_: {\n${lines.join('')}})`;
    return `// ${description}\ntype ${name} = ${takes} => any;\n\n`;
  });
  return inNamespace(types.join(''));
}

/** openai/harmony: src/encoding.rs, template_tools_section. */
export function libraryTools(tools: readonly Tool[]): string {
  const types = tools.map(({ name, description, parameters }) => {
    const takes = isObject(parameters) ? `(_: ${libraryType(parameters, '')})` : '()';
    return `${comments(description)}type ${name} = ${takes} => any;\n\n`;
  });
  return inNamespace(types.join(''));
}

/** ollama: x/create/client/create.go, and api/types.go for the types. */
export function ollamaTools(tools: readonly Tool[]): string {
  const types = tools.map(({ name, description, parameters }) => {
    const lines = entriesOf(member(parameters, 'properties')).map(([key, schema]) => {
      const about = stringMember(schema, 'description') ?? '';
      const comment = about === '' ? '' : `\n  // ${about}`;
      return `${comment}\n  ${key}: ${ollamaType(schema)},`;
    });
    const takes = lines.length === 0 ? '()' : `(_: {${lines.join('')}\n})`;
    const comment = description === '' ? '' : `\n// ${description}`;
    return `\n${comment}\ntype ${name} = ${takes} => any;`;
  });
  return `## functions\n\nnamespace functions {${types.join('')}\n\n} // namespace functions`;
}

function inNamespace(types: string): string {
  return `## functions\n\nnamespace functions {\n\n${types}} // namespace functions`;
}

/** A line each. A line break at the very end makes no further line. */
function comments(description: string): string {
  const lines = description.replace(/\r?\n$/u, '').split(/\r?\n/u);
  return description === '' ? '' : lines.map((line) => `// ${line}\n`).join('');
}

function templateDefault(schema: unknown): string {
  if (!isObject(schema) || !Object.hasOwn(schema, 'default')) return '';
  const value = schema.default;
  if (listMember(schema, 'enum').length > 0) return `, // default: ${value}`;
  if (listMember(schema, 'oneOf').length > 0) return `// default: ${value}`;
  return `, // default: ${JSON.stringify(value)}`;
}

const OLLAMA_TYPES: Readonly<Record<string, string>> = {
  string: 'string',
  number: 'number',
  integer: 'number',
  boolean: 'boolean',
  array: 'any[]',
  object: 'Record<string, any>',
  null: 'null',
};

function ollamaType(schema: unknown): string {
  const anyOf = listMember(schema, 'anyOf');
  if (anyOf.length > 0) return anyOf.map(ollamaType).join(' | ');
  const type = member(schema, 'type');
  const types = Array.isArray(type) ? type : [type];
  return types.map((name) => OLLAMA_TYPES[String(name)] ?? 'any').join(' | ');
}

/** Marks in the defaults of all schemas: some printers put a space after each. */
export function marksOfDefaults(schema: unknown): number {
  if (typeof schema !== 'object' || schema === null) return 0;
  let marks = 0;
  for (const [key, value] of Object.entries(schema)) {
    const isPrinted = key === 'default' && typeof value === 'object';
    marks += isPrinted
      ? (JSON.stringify(value).match(/[,:]/gu)?.length ?? 0)
      : marksOfDefaults(value);
  }
  return marks;
}
