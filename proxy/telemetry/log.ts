/** Log lines: JSON for machines, one plain line for people. The only importer of pino. */
import { type DestinationStream, destination, pino, stdTimeFunctions } from 'pino';
import type { Config } from '../config/config.ts';
import type { Log, LogFields } from '../state/log.ts';
import { prettyLine } from './pretty-line.ts';

const MAX_STRING_CHARS = 512;
/** Lines waiting for a slow reader of stdout; beyond it lines are dropped, requests never wait. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export interface LogOptions {
  readonly level: Config['telemetry']['logLevel'];
  readonly format: Config['telemetry']['logFormat'];
  /** Stdout where it is not given. */
  readonly sink?: DestinationStream;
}

export function createLog({ level, format, sink = stdout() }: LogOptions): Log {
  const pretty = format === 'pretty' || (format === 'auto' && process.stdout.isTTY === true);
  const logger = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pretty ? { write: (line) => sink.write(`${prettyLine(line)}\n`) } : sink,
  );
  const writer = (severity: keyof Log) => (msg: string, fields?: LogFields) =>
    logger[severity](boundFields(fields), bound(msg));
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
  };
}

function stdout(): DestinationStream {
  return destination({ dest: 1, sync: false, maxLength: MAX_WAITING_BYTES });
}

function boundFields(fields: LogFields = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key,
      typeof value === 'string' ? bound(value) : value,
    ]),
  );
}

function bound(text: string): string {
  return text.length <= MAX_STRING_CHARS ? text : `${text.slice(0, MAX_STRING_CHARS - 1)}…`;
}
