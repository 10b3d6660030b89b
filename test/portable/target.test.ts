import { beforeAll, expect, inject, test } from 'vitest';
import { rawOp } from '../../src/engine/native/rawOps.ts';
import { loadTestBackend } from '../helpers/engine.ts';

beforeAll(() => loadTestBackend('native'));

test('the kernels that these tests run are those of the target', () => {
  expect([...rawOp('AlignsaeTarget', [], []).dataSync()]).toEqual([...inject('target')]);
});
