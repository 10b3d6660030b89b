import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/client.ts';
import { type ServerProcess, startServer, stopServer } from '../e2e/serverProcess.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { post } from '../server/edge.ts';
import { findBrowser, launch, openWindow, violations } from './browser.ts';
import { startProxy } from './proxy.ts';
import { ended, makeRuns, startLongRun, type TinyRuns } from './runs.ts';

const executable = findBrowser();
/** A server starts, a model and an SAE are trained, a browser opens; the bound is for a busy machine. */
const PATIENCE_MS = 240_000;

let dir: string;
let database: Database;
let server: ServerProcess;
let browser: Browser;
let runs: TinyRuns;

beforeAll(async () => {
  if (!executable) return;
  dir = await mkdtemp(join(tmpdir(), 'alignsae-page-'));
  database = await createTestDatabase();
  [server, browser] = await Promise.all([
    startServer({ DATA_DIR: dir, DATABASE_URL: database.connectionString }),
    launch(executable),
  ]);
}, PATIENCE_MS);
afterAll(async () => {
  if (!executable) return;
  await browser.close();
  await stopServer(server);
  await database.close();
  await rm(dir, { recursive: true, force: true });
}, PATIENCE_MS);

const run = (id: string, view = '') => `/app/runs/${encodeURIComponent(id)}${view}`;

describe.skipIf(!executable)('an empty server', () => {
  it(
    'is led from nothing to a live model by its buttons',
    async () => {
      const { page, faults, close } = await openWindow(browser, server.url);
      await page.goto('/');
      expect(new URL(page.url()).pathname).toBe('/app');
      await page.getByText('Nothing has run here yet').waitFor();
      expect(await violations(page)).toEqual([]);
      await page.getByRole('button', { name: 'Generate data' }).click();
      await page.getByRole('button', { name: 'Train a model' }).click();
      await page.getByRole('link', { name: /^Model / }).click();
      await page.getByRole('img', { name: /^training loss: training loss goes from/ }).waitFor();
      await page.getByRole('button', { name: 'Cancel this run' }).click();
      await page.getByText('Cancelled').waitFor();
      expect(faults).toEqual([]);
      await close();
    },
    PATIENCE_MS,
  );
});

describe.skipIf(!executable)('every view', () => {
  beforeAll(async () => {
    runs = await makeRuns(server);
  }, PATIENCE_MS);

  /** An address, and what shows that the view has come as far as it can. */
  const views: [string, () => string, RegExp][] = [
    ['the list of runs', () => '/app', /tiny alignment/],
    ['a run', () => run(runs.alignment), /Alignment on Biographies/],
    ['a model run', () => run(runs.modelRun), /Model on Biographies/],
    ['the binding matrix', () => run(runs.alignment, '/binding?split=TRAIN'), /strongest; chance is/],
    ['a slot', () => run(runs.alignment, '/binding?slot=birth_city'), /It fires most on/],
    ['a swap', () => run(runs.alignment, '/swap?source=major&target=employer'), /After, alpha/],
    ['all latents', () => run(runs.alignment, '/latents?order=MAX'), /38 in all/],
    ['a latent', () => run(runs.alignment, '/latents/33'), /Slot birth city/],
    [
      'a text',
      () => run(runs.alignment, '/prompt?text=what+is+the+major'),
      /Strongest latents of each token/,
    ],
    ['a comparison', () => `/app/compare?ids=${runs.alignment},${runs.modelRun}`, /Settings that differ/],
    ['a comparison of nothing', () => '/app/compare', /Choose two runs or more/],
    ['a sweep over layers', () => run(runs.sweep, '/layers'), /^Parts$/],
    ['the film of a grokking run', () => run(runs.grokking, '/film?step=60'), /step 60 of/],
    ['models', () => '/app/models', /Import a model/],
    ['datasets', () => '/app/datasets', /Two hops/],
    ['a dataset', () => `/app/datasets/${runs.dataset}?split=TEST_OOD`, /Facts/],
    ['an address that is none', () => '/app/nowhere', /There is no such page/],
    ['a run that is none', () => run('TW9kZWxSdW46eA=='), /This did not work/],
  ];
  it.each(views)(
    'shows %s in light, in dark and on a phone, again after a reload',
    async (_name, address, text) => {
      const { page, faults, close } = await openWindow(browser, server.url, { colorScheme: 'light' });
      const main = page.getByRole('main');
      const shown = async () => {
        const waited = main.getByText(text).first().waitFor();
        await waited.catch(async (cause) => {
          throw new Error(`instead of ${text} it shows: ${await main.innerText()}`, { cause });
        });
      };
      await page.goto(address());
      await shown();
      expect(await violations(page)).toEqual([]);
      await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
      await page.reload();
      await shown();
      expect(await violations(page, 'inSight')).toEqual([]);
      await page.setViewportSize({ width: 390, height: 844 });
      expect(await violations(page, 'inSight')).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
      expect(faults).toEqual([]);
      await close();
    },
    PATIENCE_MS,
  );

  it('waits for a server that cannot answer now, says so, and shows what it answers then', async () => {
    const { page, faults, close } = await openWindow(browser, server.url);
    const reason = 'Another request changed the same at the same time.';
    const refused: Record<string, number> = {};
    await page.route('/graphql', (route) => {
      const name = /query (\w+)/.exec(route.request().postData() ?? '')![1]!;
      refused[name] = (refused[name] ?? 0) + 1;
      // First the server is away, then its database is busy, twice: once for each who asks for latents.
      if (name === 'Latents' && refused[name] === 1) return route.abort('connectionrefused');
      if (name !== 'LatentPage' || refused[name] > 2) return route.continue();
      const errors = [{ message: reason, extensions: { code: 'UNAVAILABLE' } }];
      return route.fulfill({ status: 503, json: { errors } });
    });
    await page.goto(run(runs.alignment, '/latents'));
    const alert = page.getByRole('alert');
    await alert.getByText('It may be starting again. It is asked again by itself.').waitFor();
    await alert.getByText(`${reason} It is asked again by itself.`).first().waitFor();
    await page.getByText(/38 in all/).waitFor();
    await page.getByRole('img', { name: /^Density and separability of 38/ }).waitFor();
    expect(await alert.count()).toBe(0);
    expect(refused).toEqual({ Latents: 2, LatentPage: 4 });
    expect(faults.every((fault) => fault.startsWith('Failed to load resource'))).toBe(true);
    await close();
  });

  it('walks through the training of an alignment, look by look', async () => {
    const { page, faults, close } = await openWindow(browser, server.url);
    await page.goto(run(runs.alignment, '/binding'));
    const looks = page.getByRole('slider', { name: 'Look at the slots' });
    await page.getByRole('grid', { name: 'Binding at step 60' }).waitFor();
    await looks.press('ArrowLeft');
    await page.getByRole('grid', { name: 'Binding at step 55' }).waitFor();
    expect(new URL(page.url()).searchParams.get('step')).toBe('55');
    await page.reload();
    await page.getByRole('grid', { name: 'Binding at step 55' }).waitFor();
    const query = `query ($id: ID!) { run(id: $id) { ... on AlignmentRun { bindingSteps bindingLook(step: 55) { matrix } } } }`;
    const { bindingSteps, bindingLook } = (await post(server, query, { id: runs.alignment })).body.data.run;
    const shown = await page
      .getByRole('grid', { name: 'Binding at step 55' })
      .locator('td')
      .allTextContents();
    const figures = bindingLook.matrix.flat().map((value: number) => value.toFixed(2).replace(/^0/, ''));
    expect(shown).toEqual(figures);
    await page.getByRole('button', { name: 'Play' }).click();
    await page.getByRole('grid', { name: 'Binding at step 60' }).waitFor();
    expect(bindingSteps.at(-1)).toBe(60);
    expect(faults).toEqual([]);
    await close();
  });

  it('walks the matrix by arrow keys and opens a slot by Enter, and goes back', async () => {
    const { page, faults, close } = await openWindow(browser, server.url);
    await page.goto(run(runs.alignment, '/binding'));
    const cell = page.getByRole('grid').getByRole('gridcell').first();
    await cell.focus();
    await page.keyboard.press('ArrowRight');
    await page
      .getByText(/^Of the prompts about birth date, the strongest slot is that of birth city in .*n = \d+/)
      .waitFor();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Slot birth city' }).waitFor();
    expect(new URL(page.url()).searchParams.get('slot')).toBe('birth_city');
    await page.goBack();
    await page.getByRole('heading', { name: 'Slot birth city' }).waitFor({ state: 'detached' });
    expect(faults).toEqual([]);
    await close();
  });

  it('shows the phases of a run, and looks closer at a stretch that is dragged over', async () => {
    const { page, faults, close } = await openWindow(browser, server.url);
    await page.goto(run(runs.alignment));
    const phases = page.getByRole('list', { name: 'Phases' }).getByRole('listitem');
    expect(await phases.filter({ hasText: 'Posttrain' }).innerText()).toMatch(/done\s+steps 21–60, \d+ s/);
    const plot = page.getByRole('img', { name: /^training loss: .* between steps 1 and 60/ });
    const box = (await plot.locator('.u-over').boundingBox())!;
    await page.mouse.move(box.x + box.width / 2, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.75, box.y + 20, { steps: 3 });
    await page.mouse.up();
    await page.getByRole('button', { name: /^Steps 3\d–4\d: show all$/ }).waitFor();
    await page.getByRole('img', { name: /^training loss: .* between steps 3\d and 4\d/ }).waitFor();
    await page.reload();
    await page.getByRole('img', { name: /^training loss: .* between steps 3\d and 4\d/ }).waitFor();
    await page.getByRole('button', { name: /show all$/ }).click();
    await plot.waitFor();
    expect(faults).toEqual([]);
    await close();
  });

  it('searches runs, marks them and compares them', async () => {
    const { page, faults, close } = await openWindow(browser, server.url);
    await page.goto('/app');
    await page.getByRole('link', { name: 'a film' }).waitFor();
    await page.getByLabel('Search runs').fill('TINY eight');
    await page.getByText('No run fits this filter').waitFor();
    await page.getByLabel('Search runs').fill('TINY biographies');
    await page.getByRole('link', { name: 'a film' }).waitFor({ state: 'detached' });
    await page.getByRole('row', { name: /tiny alignment.*nFree 32/ }).waitFor();
    expect(new URL(page.url()).searchParams.get('text')).toBe('TINY biographies');
    await page.getByLabel('Search runs').fill('');
    for (const name of ['tiny alignment', 'a film']) await page.getByLabel(`Compare ${name}`).check();
    await page.getByRole('button', { name: 'Compare 2' }).click();
    await page.getByRole('heading', { name: 'Compare 2 runs' }).waitFor();
    expect(faults).toEqual([]);
    await close();
  });

  it('searches the prompts and the facts of a dataset', async () => {
    const { page, faults, close } = await openWindow(browser, server.url);
    await page.goto(`/app/datasets/${runs.dataset}`);
    await page.getByLabel('Search prompts').fill('nothing has these words');
    await page.getByText('No prompt is of this kind').waitFor();
    const entity = await page.locator('table').last().getByRole('rowheader').first().innerText();
    await page.getByLabel('Search facts').fill(entity.toUpperCase());
    await page.getByText(/^6$/).waitFor();
    await page.getByLabel('Search prompts').fill(entity);
    await page
      .getByRole('rowheader', { name: new RegExp(entity) })
      .first()
      .waitFor();
    expect(faults).toEqual([]);
    await close();
  });

  it('imports a dataset, says what is wrong with another, and deletes the first', async () => {
    const { page, faults, close } = await openWindow(browser, server.url);
    await page.goto('/app/datasets');
    const send = async (name: string, lines: object[]) => {
      const buffer = Buffer.from(lines.map((line) => JSON.stringify(line)).join('\n'));
      await page
        .getByLabel('File')
        .setInputFiles({ name: `${name}.jsonl`, mimeType: 'application/jsonl', buffer });
      await page.getByRole('button', { name: 'Import' }).click();
    };
    const ontology = { type: 'ontology', slug: 'pets', name: 'Pets' };
    await send('broken', [ontology, { type: 'concept', key: 'name' }, { type: 'prompt', prompt: 3 }]);
    await page
      .getByRole('alert')
      .getByText(/line 3/)
      .waitFor();
    await send('pets', [
      ontology,
      { type: 'concept', key: 'name' },
      { type: 'prompt', prompt: 'what is it called', answer: 'rex', concepts: ['name'], split: 'TRAIN' },
    ]);
    await page.getByRole('link', { name: 'pets.jsonl' }).waitFor();
    await page.getByLabel('Search datasets').fill('PETS');
    await page.getByRole('link', { name: 'Two hops' }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Delete pets.jsonl' }).click();
    await page.getByRole('alert').getByRole('button', { name: 'Delete' }).click();
    await page.getByRole('link', { name: 'pets.jsonl' }).waitFor({ state: 'detached' });
    expect(faults).toEqual([]);
    await close();
  });

  it('steers the model while it speaks', async () => {
    const { page, faults, close } = await openWindow(browser, server.url);
    await page.goto(run(runs.alignment, '/swap'));
    await page.getByText(/After, alpha/).waitFor();
    await page.getByRole('button', { name: 'university', exact: true }).click();
    await page.getByRole('button', { name: 'Speak' }).click();
    await page.locator('.speech .steered').first().waitFor();
    expect(faults).toEqual([]);
    await close();
  });
});

describe.skipIf(!executable)('a run that is watched', () => {
  it(
    'shows each point once, though its sockets are cut',
    async () => {
      const proxy = await startProxy(server.url);
      const list = await openWindow(browser, proxy.url);
      const asked: string[] = [];
      // One that is cut is asked again.
      list.page.on('requestfinished', (request) =>
        asked.push(/query (\w+)/.exec(request.postData() ?? '')?.[1] ?? ''),
      );
      await list.page.goto('/app');
      await list.page.getByRole('link', { name: 'a film' }).waitFor();
      const id = await startLongRun(server, runs.dataset, 240);
      await list.page.getByRole('row', { name: /a long run.*Running.*training loss from/ }).waitFor();
      const { page, close } = await openWindow(browser, proxy.url);
      await page.goto(run(id));
      const points = () => page.getByRole('img', { name: /^training loss: training loss goes from/ });
      for (const step of [40, 150]) {
        await stepAtLeast(page, step);
        proxy.cut();
      }
      await ended(server, id);
      await page.getByText('Succeeded').waitFor();
      await points().waitFor();
      await page.locator('figure', { has: points() }).getByRole('button', { name: 'Table' }).click();
      const rows = await page
        .getByRole('region', { name: 'training loss as a table' })
        .locator('tbody th')
        .allTextContents();
      const query = 'query ($id: ID!) { run(id: $id) { metrics(names: ["loss"]) { points { step } } } }';
      const { body } = await post(server, query, { id });
      expect(rows.map(Number)).toEqual(
        body.data.run.metrics[0].points.map(({ step }: { step: number }) => step),
      );
      expect(rows).toHaveLength(240);
      await list.page.getByRole('row', { name: /a long run.*Succeeded/ }).waitFor();
      // It was told of the run: it asked at its beginning, and once more when there was one more.
      expect(asked.filter((name) => name === 'Runs')).toHaveLength(2);
      await close();
      await list.close();
      await proxy.close();
    },
    PATIENCE_MS,
  );
});

/** Waits until the page has seen this step. */
async function stepAtLeast(page: Page, step: number): Promise<void> {
  await page.waitForFunction((least) => {
    const label =
      document.querySelector('[role=img][aria-label^="training loss: "]')?.getAttribute('aria-label') ?? '';
    return Number(/and (\d+),/.exec(label)?.[1] ?? 0) >= least;
  }, step);
}
