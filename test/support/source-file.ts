/** What a TypeScript source says about itself: its imports, globals and sizes, read from its syntax tree. */
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { parseSync } from '@swc/core';

export interface Import {
  /** As written: `./x.ts`, `node:fs`, `undici`. */
  readonly specifier: string;
  /** A path from the repository's root for a relative import; else the specifier. */
  readonly target: string;
  /** Erased by the compiler: nothing is loaded. */
  readonly typeOnly: boolean;
}

export interface SourceFile {
  readonly path: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  /** Names it refers to, without those that only name a property; `Math.random` counts as one. */
  readonly names: ReadonlySet<string>;
  /** Constructs by their node type in the syntax tree. */
  readonly nodeTypes: ReadonlySet<string>;
  readonly usesAny: boolean;
  readonly functions: readonly { readonly name: string; readonly lines: number }[];
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

const FUNCTIONS: ReadonlySet<string> = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'PrivateMethod',
  'Constructor',
  'MethodProperty',
]);

/** Every `.ts` file below the given folders, as paths from the repository's root. */
export function sourcesIn(...folders: readonly string[]): SourceFile[] {
  return folders
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) =>
        posix.join(folder, name),
      ),
    )
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => parseSource(path, readFileSync(path, 'utf8')));
}

export function parseSource(path: string, text: string): SourceFile {
  const nodes = [...walk(parseSync(text, { syntax: 'typescript', target: 'es2023' }))];
  // Spans count bytes from 1.
  const bytes = Buffer.from(text);
  const linesOf = (node: Node): number => {
    const { start, end } = node.span as { start: number; end: number };
    return bytes.toString('utf8', start - 1, end - 1).split('\n').length;
  };
  return {
    path,
    lines: text.trimEnd().split('\n').length,
    imports: nodes.flatMap((node) => importOf(node, path)),
    names: new Set(nodes.flatMap(nameOf)),
    nodeTypes: new Set(nodes.map(({ type }) => type)),
    usesAny: nodes.some((node) => node.type === 'TsKeywordType' && node.kind === 'any'),
    functions: nodes
      .filter(({ type }) => FUNCTIONS.has(type))
      .map((node) => ({ name: functionName(node), lines: linesOf(node) })),
  };
}

function* walk(value: unknown): Generator<Node> {
  if (typeof value !== 'object' || value === null) return;
  if (isNode(value)) yield value;
  for (const child of Object.values(value)) yield* walk(child);
}

function isNode(value: unknown): value is Node {
  return (
    typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
  );
}

function importOf(node: Node, path: string): Import[] {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration': {
      const specifiers = node.specifiers as readonly { readonly isTypeOnly?: boolean }[];
      const eachIsType = specifiers.length > 0 && specifiers.every(({ isTypeOnly }) => isTypeOnly);
      return imported(node.source, node.typeOnly === true || eachIsType, path);
    }
    case 'ExportAllDeclaration':
      return imported(node.source, node.typeOnly === true, path);
    case 'TsImportType':
      return imported(node.argument, true, path);
    case 'CallExpression': {
      if (!isNode(node.callee) || node.callee.type !== 'Import') return [];
      const [first] = node.arguments as readonly { readonly expression: unknown }[];
      const known = imported(first?.expression, false, path);
      const unseen = { specifier: '(computed)', target: '(computed)', typeOnly: false };
      return known.length > 0 ? known : [unseen];
    }
    default:
      return [];
  }
}

function imported(source: unknown, typeOnly: boolean, path: string): Import[] {
  if (!isNode(source) || source.type !== 'StringLiteral') return [];
  const specifier = String(source.value);
  const target = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : specifier;
  return [{ specifier, target, typeOnly }];
}

/** The parser gives a scope (`ctxt`) to names that refer to something, none to names of properties. */
function nameOf(node: Node): string[] {
  if (node.type === 'Identifier' && 'ctxt' in node) return [String(node.value)];
  if (node.type !== 'MemberExpression') return [];
  const { object, property } = node;
  const isRandom = isNode(object) && object.value === 'Math' && isNode(property);
  return isRandom && property.value === 'random' ? ['Math.random'] : [];
}

function functionName(node: Node): string {
  const name = node.identifier ?? node.key;
  if (node.type === 'Constructor') return 'constructor';
  if (!isNode(name)) return '(anonymous)';
  return String(isNode(name.id) ? name.id.value : (name.value ?? '(computed)'));
}
