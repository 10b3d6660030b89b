/** Does one piece of work and tells the most memory that the process has held. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { loadBackend } from '../../src/engine/native/backend.ts';
import { type MemoryOrder, WORKS } from './work.ts';

const [order] = (await once(process, 'message')) as [MemoryOrder];
await loadBackend('auto', order.native);
const seconds = await WORKS[order.work].run(order);
process.send!({ peak: await peakBytes(), seconds });

async function peakBytes(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8');
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]);
}
