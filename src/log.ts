/** JSON logs, one object a line, with the fields that tie lines together: requestId, runId, worker. */
import { type Logger, pino } from 'pino';

export type { Logger };

/** Creates the root logger; secrets that could reach a log line by way of headers are cut out. */
export function createLogger(level: string): Logger {
  return pino({
    level,
    base: { pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: ['headers.authorization', 'headers.cookie', 'authorization'],
  });
}
