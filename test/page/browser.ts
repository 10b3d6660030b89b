/** A real browser on a real server; whatever it complains of, and whatever it asks elsewhere, is kept for the test. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** Null, said out loud, where this machine has no browser. */
export function findBrowser(): string | null {
  const paths = (process.env.PATH ?? '').split(delimiter);
  const found = paths
    .flatMap((path) => NAMES.map((name) => join(path, name)))
    .find((path) => existsSync(path));
  if (!found)
    console.warn(`The page is NOT tested in a browser: none of ${NAMES.join(', ')} is on the PATH.`);
  return found ?? null;
}

export function launch(executablePath: string): Promise<Browser> {
  // Containers run as root, where Chromium's sandbox cannot be had.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

export interface Seen {
  page: Page;
  /** Errors of the console, of scripts and of requests, and requests to anywhere else. */
  faults: string[];
  close(): Promise<void>;
}

/** Opens a window of its own, with nothing remembered. */
export async function openWindow(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Seen> {
  const context = await browser.newContext({ baseURL: url, ...options });
  const page = await context.newPage();
  // The engine starts with the first that asks it, on a machine that may be busy.
  page.setDefaultTimeout(120_000);
  const faults: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== url) faults.push(`asked ${request.url()}`);
  });
  return { page, faults, close: () => context.close() };
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Rules that look at where things are and how they are coloured; all others look at the document alone. */
const OF_SIGHT = ['color-contrast', 'scrollable-region-focusable'];

/** What axe finds, each with the elements that it is about; `inSight` where only size or colours are others than before. */
export async function violations(page: Page, inSight?: 'inSight'): Promise<string[]> {
  if (!(await page.evaluate('typeof axe !== "undefined"'))) await page.evaluate(AXE);
  return page.evaluate(
    async (rules) => {
      interface Result {
        violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[];
      }
      const { axe } = globalThis as unknown as {
        axe: { run(options: { resultTypes: string[]; runOnly?: string[] }): Promise<Result> };
      };
      const { violations } = await axe.run({
        resultTypes: ['violations'],
        ...(rules ? { runOnly: rules } : {}),
      });
      return violations.map(
        ({ id, nodes }) =>
          `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`,
      );
    },
    inSight ? OF_SIGHT : null,
  );
}
