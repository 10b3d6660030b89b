/** Comparisons of tiny work: with peers made for the test, and with the real ones where Python has them. */
import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CASES, type Case } from '../../bench/speed/cases.ts';
import { type MeasureOptions, measureCase } from '../../bench/speed/measure.ts';
import { posttrain } from '../../bench/speed/recipes.ts';
import { readConfig } from '../../src/config.ts';
import { makeTempDirectory } from '../helpers/tempDirectory.ts';

const run = promisify(execFile);
const PYTHON = process.env.PYTHON ?? 'python3';
const options: MeasureOptions = {
  ...{ pairs: 3, threads: 2, python: null, log() {} },
  cache: readConfig().cacheDir,
};
const TINY: Case = {
  ...CASES.find(({ name }) => name === 'posttrain-linear')!,
  work: posttrain({ dModel: 8, nFree: 32, nConcepts: 2 }, 4),
};
let dir: string;

beforeAll(async () => {
  dir = await makeTempDirectory('bench');
});

afterAll(() => rm(dir, { recursive: true }));

describe('a comparison', () => {
  test('times both sides equally often when they compute the same', async () => {
    const each: Case = { ...TINY, peers: [{ by: 'OURS', variant: 'ours again' }] };
    const { measured, versions } = await measureCase(each, { ...options, python: 'none' });
    expect(measured.map(({ name }) => name)).toEqual(['ours', 'ours again']);
    for (const { ms, peakBytes, difference } of measured) {
      expect(ms).toHaveLength(3);
      expect(Math.min(...ms)).toBeGreaterThan(0);
      expect(peakBytes).toBeGreaterThan(1e7);
      expect(difference).toBe(0);
    }
    expect(versions.node).toBe(process.versions.node);
  });

  test('leaves peers out where there is no Python', async () => {
    const { measured } = await measureCase(TINY, options);
    expect(measured.map(({ name }) => name)).toEqual(['ours']);
  });

  test('is not made when the sides compute different numbers', async () => {
    const python = await writePeer({ versions: {}, units: 1, values: [1e9, 1e9, 1e9], ms: [1] });
    await expect(measureCase(TINY, { ...options, python })).rejects.toThrow(
      'PyTorch, AdamW computes 1000000000, 1000000000, 1000000000 where ours computes',
    );
  });

  test("is not made when a side fails, and says so in that side's words", async () => {
    const python = await writePeer({ error: 'no memory left' });
    await expect(measureCase(TINY, { ...options, python })).rejects.toThrow(
      'PyTorch, AdamW failed to setup: no memory left',
    );
  });
});

describe('with the real peers', () => {
  const compared = CASES.filter(({ work }) => work.kind !== 'SWEEP' && work.kind !== 'SERVED');
  let missing: string | null;

  beforeAll(async () => {
    const name = await missingPackage();
    missing =
      name &&
      `${PYTHON} has no ${name}: install bench/peers/requirements.txt, or point PYTHON to where it is`;
    if (missing) console.warn(`NOT CHECKED with the peers themselves: ${missing}`);
  });

  test.for(compared)('$name computes the same numbers', { timeout: 300_000 }, async (each, context) => {
    if (missing) return context.skip(missing);
    const { measured } = await measureCase(shrink(each), { ...options, python: PYTHON, pairs: 1 });
    expect(measured).toHaveLength(1 + each.peers.length);
  });
});

/** A program in Python's place that gives this answer to everything. */
async function writePeer(answer: object): Promise<string> {
  const path = join(dir, 'peer.mjs');
  const program = `#!${process.execPath}
    import { createWriteStream } from 'node:fs';
    import { createInterface } from 'node:readline';
    const replies = createWriteStream('', { fd: 3 });
    for await (const _ of createInterface({ input: process.stdin })) replies.write(${JSON.stringify(JSON.stringify(answer))} + '\\n');
  `;
  await writeFile(path, program, { mode: 0o755 });
  return path;
}

async function missingPackage(): Promise<string | null> {
  for (const name of ['torch', 'transformers', 'sae_lens']) {
    const found = `import importlib.util, sys; sys.exit(importlib.util.find_spec(${JSON.stringify(name)}) is None)`;
    const has = await run(PYTHON, ['-c', found]).then(
      () => true,
      () => false,
    );
    if (!has) return name;
  }
  return null;
}

/** The same work at a size that takes no time. */
function shrink({ work, ...rest }: Case): Case {
  switch (work.kind) {
    case 'POSTTRAIN':
      return {
        ...rest,
        work: { ...work, dModel: 16, nFree: 64, rows: 2 * work.nConcepts, k: 8, dVocab: 11 },
      };
    case 'PRETRAIN': {
      // The terms carry what SAELens sums over.
      const sparse = work.coefficients.sparse && 64;
      const coefficients = { ...work.coefficients, recon: 16, sparse };
      return { ...rest, work: { ...work, dModel: 16, nFree: 64, rows: 12, k: 8, coefficients } };
    }
    case 'SERVED':
    case 'SWEEP':
      return { ...rest, work };
    default: {
      const { decoder } = work.config;
      const grouped = decoder && {
        ...decoder,
        rotary: decoder.rotary && { ...decoder.rotary, dims: 8 },
        attention: { ...decoder.attention, nKeyValueHeads: 2, dHead: 8 },
      };
      const sizes = { nLayers: 2, nHeads: 4, dModel: 16, dMlp: 64, nCtx: 128, dVocab: 50 };
      const config = { ...work.config, ...sizes, decoder: grouped };
      const layer = 'layer' in work ? { layer: 1 } : {};
      return { ...rest, work: { ...work, ...layer, config, rows: 2, tokens: 8 } };
    }
  }
}
