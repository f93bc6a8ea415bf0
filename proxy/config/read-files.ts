/** Everything a configuration reads from disk, once, at start. Every size is bounded. */
import { statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { parse } from 'yaml';
import type { Priority } from '../policy/types.ts';
import type { Parsed } from './addresses.ts';
import type { ApiKey, Config } from './config.ts';
import { fileChunks } from './file-chunks.ts';
import type { OptionName, OptionValues } from './options.ts';
import { readModelFile } from './read-model-file.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
/** More than any real file of its kind has. */
const MAX_BYTES = { config: MIB, secret: 64 * KIB, keys: MIB, pem: MIB, tokenizer: 128 * MIB };

/** What the files named by options hold; null where none was named. */
export interface FileContents {
  readonly adminToken: string | null;
  readonly apiKeys: readonly ApiKey[];
  readonly backendApiKey: string | null;
  readonly modelConfig: Config['engine']['modelConfig'];
  /** Of the tokenizer.json, which is too large to be read here. */
  readonly tokenizerPath: string | null;
  readonly tls: Config['server']['tls'];
}

/** Called with the option that names the file and what is wrong with it. */
export type Report = (field: OptionName, message: string) => void;

export function readFiles(values: OptionValues, report: Report): FileContents {
  const read = <T>(field: OptionName, path: string | null, reader: Reader<T>): T | null => {
    if (path === null) return null;
    const result = reader(path);
    if (result.ok) return result.value;
    report(field, `${path} ${result.why}`);
    return null;
  };
  const certPem = read('tls-cert-file', values['tls-cert-file'], readPem);
  const keyPem = read('tls-key-file', values['tls-key-file'], readPem);
  const tls = certPem !== null && keyPem !== null ? { certPem, keyPem } : null;
  if (tls !== null) checkKeyPair(tls, report);
  return {
    adminToken: read('admin-token-file', values['admin-token-file'], readSecret),
    apiKeys: read('api-key-file', values['api-key-file'], readKeys) ?? [],
    backendApiKey: read('backend-api-key-file', values['backend-api-key-file'], readSecret),
    modelConfig: read('model-config', values['model-config'], readable(readModelFile)),
    tokenizerPath: read('tokenizer', values.tokenizer, readable(checkTokenizerFile)),
    tls,
  };
}

type Reader<T> = (path: string) => Parsed<T>;

/** A YAML mapping. Aliases are limited and duplicate keys refused by the parser itself. */
export function readYamlMapping(path: string): Parsed<Readonly<Record<string, unknown>>> {
  const file = readBounded(path, MAX_BYTES.config);
  if (!file.ok) return file;
  try {
    const content: unknown = parse(file.value) ?? {};
    return isMapping(content)
      ? { ok: true, value: content }
      : refuse('must be a mapping of option names to values');
  } catch (error) {
    return refuse(`is not valid YAML: ${firstLine(error)}`);
  }
}

function readSecret(path: string): Parsed<string> {
  const file = readBounded(path, MAX_BYTES.secret);
  if (!file.ok) return file;
  const secret = file.value.trim();
  if (secret === '') return refuse('is empty');
  return isToken(secret) ? { ok: true, value: secret } : refuse('must hold one word of ASCII text');
}

const CLASSES: readonly Priority[] = ['high', 'normal', 'low'];

/** A key a line, and its class where that is not `normal`. */
function readKeys(path: string): Parsed<readonly ApiKey[]> {
  const file = readBounded(path, MAX_BYTES.keys);
  if (!file.ok) return file;
  const keys = new Map<string, ApiKey>();
  for (const [index, text] of file.value.split('\n').entries()) {
    const line = text.trim();
    if (line === '' || line.startsWith('#')) continue;
    // The line's number, never its text: a mistyped key is still a key.
    const at = `line ${index + 1}`;
    const [key = '', named = 'normal', ...rest] = line.split(/\s+/);
    const maxPriority = CLASSES.find((name) => name === named);
    if (!isToken(key) || rest.length > 0 || maxPriority === undefined) {
      return refuse(`${at} must be one word of ASCII text, and perhaps high, normal or low`);
    }
    if ((keys.get(key)?.maxPriority ?? maxPriority) !== maxPriority) {
      return refuse(`${at} gives a key of a line above another class`);
    }
    keys.set(key, { key, maxPriority });
  }
  return keys.size === 0 ? refuse('holds no key') : { ok: true, value: [...keys.values()] };
}

/** What can be sent in an Authorization header. */
function isToken(text: string): boolean {
  return /^[\x21-\x7e]+$/.test(text);
}

/** A glance: the worker that loads it says at start whether it is what it should be. */
function checkTokenizerFile(path: string): Parsed<string> {
  const file = statSync(path);
  if (!file.isFile()) return refuse('is not a file');
  if (file.size > MAX_BYTES.tokenizer) {
    return refuse(`is larger than ${MAX_BYTES.tokenizer / MIB} MiB`);
  }
  const [begin = Buffer.alloc(0)] = fileChunks(path, KIB);
  const isJson = begin.toString('utf8').trimStart().startsWith('{');
  return isJson ? { ok: true, value: path } : refuse('is not JSON; a tokenizer.json is wanted');
}

function readPem(path: string): Parsed<string> {
  const file = readBounded(path, MAX_BYTES.pem);
  if (!file.ok) return file;
  return file.value.includes('-----BEGIN ') ? file : refuse('is not PEM');
}

function checkKeyPair({ certPem, keyPem }: { certPem: string; keyPem: string }, report: Report) {
  try {
    createSecureContext({ cert: certPem, key: keyPem });
  } catch (error) {
    report('tls-key-file', `does not work with tls-cert-file: ${firstLine(error)}`);
  }
}

/** At most `maxBytes`, also of something without a size: a pipe, a device. */
export function readBounded(path: string, maxBytes: number): Parsed<string> {
  return readable((file) => {
    const [bytes = Buffer.alloc(0)] = fileChunks(file, maxBytes + 1);
    return bytes.length > maxBytes
      ? refuse(`is larger than ${maxBytes / KIB} KiB`)
      : { ok: true, value: bytes.toString('utf8') };
  })(path);
}

/** A reader for which a file that can't be read is a problem like any other. */
function readable<T>(reader: Reader<T>): Reader<T> {
  return (path) => {
    try {
      return reader(path);
    } catch (error) {
      return refuse(`can't be read: ${firstLine(error)}`);
    }
  };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}

function refuse(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why };
}
