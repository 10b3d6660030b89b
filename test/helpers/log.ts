import { pino } from 'pino';

/** For what a test constructs and whose log it does not examine; `DEBUG_LOG=1` shows it. */
export const silentLog = pino({ level: process.env.DEBUG_LOG ? 'debug' : 'silent' });
