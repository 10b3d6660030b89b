/** `npm run screenshots [address]`: the page of a running server, by day and by night, into `docs/images` for README. */
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import { ROOT } from './documents.ts';

const IMAGES = join(ROOT, 'docs/images');
const SIZE = { width: 1180, height: 860 };
const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

const url = process.argv[2] ?? 'http://127.0.0.1:4000';
const executablePath = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((path) => NAMES.map((name) => join(path, name)))
  .find((path) => existsSync(path));
if (!executablePath) throw new Error(`A browser is needed: none of ${NAMES.join(', ')} is on the PATH.`);

/** The newest alignment that has succeeded. @throws Error where there is none */
async function findRun(): Promise<string> {
  const query =
    '{ runs(first: 1, filter: { kind: [ALIGNMENT], status: [SUCCEEDED], isPart: false }) { edges { node { id } } } }';
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  const { data } = (await response.json()) as { data: { runs: { edges: { node: { id: string } }[] } } };
  const run = data.runs.edges[0]?.node.id;
  if (!run) throw new Error(`${url} has no alignment that has succeeded: run \`npm run demo\` first.`);
  return encodeURIComponent(run);
}

const run = await findRun();
mkdirSync(IMAGES, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const shots = [
  ['light', `/app/runs/${run}/swap?source=birth_date&target=university`, /After, alpha/],
  ['dark', `/app/runs/${run}`, /^Curves$/],
] as const;
for (const [colorScheme, address, text] of shots) {
  const page = await browser.newPage({ colorScheme, viewport: SIZE, baseURL: url });
  page.setDefaultTimeout(120_000);
  await page.goto(address);
  await page.getByRole('main').getByText(text).first().waitFor();
  await page.evaluate('document.fonts.ready.then(() => new Promise(requestAnimationFrame))');
  const path = join(IMAGES, `page-${colorScheme}.png`);
  await page.screenshot({ path });
  process.stdout.write(`${path}\n`);
}
await browser.close();
