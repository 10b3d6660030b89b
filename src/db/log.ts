import type { Logger } from 'pino';

/** What the database layer needs of a logger. */
export type DbLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
