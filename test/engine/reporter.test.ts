import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ChildReporter } from '../../src/engine/reporter.ts';

const FILE = { path: 'checkpoint-1.safetensors', sha256: '', bytes: 0 };

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

test('checkpoints take a tenth of the time at most, however large they are, unless one is asked for', async () => {
  const reporter = new ChildReporter(() => {}, 1000);
  /** Trains on and tells whether a checkpoint is due, which then takes so long. */
  const isDueAfter = async (ms: number, takes: number) => {
    vi.advanceTimersByTime(ms);
    if (!reporter.checkpointDue()) return false;
    vi.advanceTimersByTime(takes);
    await reporter.checkpoint(1, FILE as never);
    expect(reporter.checkpointDue()).toBe(false); // while the host takes it away
    reporter.onCheckpointed();
    return true;
  };
  expect(reporter.checkpointDue()).toBe(false); // training begins
  expect(await isDueAfter(999, 0)).toBe(false);
  expect(await isDueAfter(1, 50)).toBe(true);
  expect(await isDueAfter(999, 0)).toBe(false);
  expect(await isDueAfter(1, 300)).toBe(true);
  expect(await isDueAfter(2999, 0)).toBe(false);
  expect(await isDueAfter(1, 300)).toBe(true);
  reporter.onWantCheckpoint();
  expect(await isDueAfter(0, 300)).toBe(true);
});
