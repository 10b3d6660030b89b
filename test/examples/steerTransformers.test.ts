/** `examples/steer_transformers.py` against a server of this process, where Python has transformers. */
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ArtifactStore, openArtifactStore } from '../../src/db/artifactStore.ts';
import type { Database } from '../../src/db/client.ts';
import { EngineCalls } from '../../src/jobs/calls.ts';
import { encodeGlobalId } from '../../src/schema/ids.ts';
import { tinySae } from '../engine/align/tinySae.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { silentLog } from '../helpers/log.ts';
import { makeTempDirectory } from '../helpers/tempDirectory.ts';
import { storeTinyAlignment } from '../helpers/tinyAlignment.ts';
import { startTestApi, type TestApi } from '../server/edge.ts';

const run = promisify(execFile);
/** Each run of the script takes seconds to import transformers. */
const TIMEOUT_MS = 300_000;
const PYTHON = process.env.PYTHON ?? 'python3';
const SCRIPT = fileURLToPath(new URL('../../examples/steer_transformers.py', import.meta.url));

const missing = await run(PYTHON, ['-c', 'import torch, transformers, safetensors']).then(
  () => null,
  () => `${PYTHON} has no transformers: pip install torch transformers, or point PYTHON to where it is`,
);
if (missing) console.warn(`NOT CHECKED with transformers: ${missing}`);

describe.skipIf(missing !== null)('a swap in transformers', () => {
  let database: Database;
  let store: ArtifactStore;
  let engine: EngineCalls;
  let api: TestApi;
  let dir: string;
  beforeAll(async () => {
    database = await createTestDatabase();
    dir = await makeTempDirectory('steer');
    store = await openArtifactStore(join(dir, 'store'));
    engine = new EngineCalls({ backend: 'auto', native: inject('native'), log: silentLog });
    api = await startTestApi(database, {}, { work: { engine, store } });
  });
  afterAll(async () => {
    await api.stop();
    await engine.stop();
    await database.close();
    await rm(dir, { recursive: true, force: true });
  });

  /** Exit status 0 or 1, and all that is written. */
  async function steer(runId: string, ...args: string[]): Promise<{ ok: boolean; output: string }> {
    const id = encodeGlobalId('AlignmentRun', runId);
    const command = [SCRIPT, '--url', api.url, '--run', id, '--prompt', 'ada bo fay', ...args];
    return run(PYTHON, command).then(
      ({ stdout }) => ({ ok: true, output: stdout }),
      ({ stdout, stderr }) => ({ ok: false, output: `${stdout}${stderr}` }),
    );
  }

  it.each([
    ['LATENT_DECODE', 'LAST_TOKEN', 1],
    ['LATENT_DECODE', 'ANSWER', -1],
    ['LATENT_DELTA', 'LAST_TOKEN', 2],
    ['LATENT_DELTA', 'ANSWER', 0],
  ])(
    '%s at %s behind block %i is what the server does',
    async (method, placement, layer) => {
      const { runId } = await storeTinyAlignment(database.db, store, { sae: tinySae(layer) });
      const swap = ['--source', 'a', '--target', 'c', '--alpha', '-2.5', '--method', method];
      const { ok, output } = await steer(runId, ...swap, '--placement', placement, '--tokens', '6');
      expect(output).toContain('OK: the server says the same');
      expect(output).toContain(`behind block ${layer}, at ${placement}`);
      expect(ok).toBe(true);
    },
    TIMEOUT_MS,
  );

  it(
    'takes the strongest slot and the chosen alpha where none is named, and says what there is not',
    async () => {
      const { runId } = await storeTinyAlignment(database.db, store);
      const all = await Promise.all(['a', 'b', 'c'].map((target) => steer(runId, '--target', target)));
      expect(all.filter(({ ok }) => ok)).toHaveLength(2);
      expect(all.filter(({ output }) => /the prompt asks about \w already/.test(output))).toHaveLength(1);
      expect(all.find(({ ok }) => ok)!.output).toMatch(/-> \w, alpha 3/);
      expect((await steer(runId, '--target', 'd')).output).toMatch(/there is no slot d; there are a, b, c/);
    },
    TIMEOUT_MS,
  );

  it(
    'tells what differs',
    async () => {
      const { runId } = await storeTinyAlignment(database.db, store);
      const spoiled = join(dir, 'spoiled.py');
      // The same script with an edit that does something else.
      await writeFile(
        spoiled,
        (await readFile(SCRIPT, 'utf8')).replace('edited, source, 0)', 'edited, source, 9)'),
      );
      const id = encodeGlobalId('AlignmentRun', runId);
      const command = [spoiled, '--url', api.url, '--run', id, '--prompt', 'ada bo fay', '--source', 'a'];
      await expect(run(PYTHON, [...command, '--target', 'c'])).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/DIFFERENT from the server\nwith the swap/),
      });
    },
    TIMEOUT_MS,
  );
});
