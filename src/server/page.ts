/** The page under `/app`: what `npm run build` left in `dist/web`, read once and answered as it was compressed then. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Asset, createAsset, sendAsset } from './asset.ts';
import { failure, reply } from './reply.ts';

export const PAGE_PATH = '/app';
const ASSETS_PATH = '/app/assets/';
const YEAR = 'public, max-age=31536000, immutable';

const TYPES: Record<string, string> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
};

/** Nothing from elsewhere, nothing inline, in nobody's frame. */
const SECURITY = {
  'content-security-policy':
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

const BESIDE = import.meta.url.endsWith('.ts') ? '../../dist/web' : '../web';

/** Whether a path belongs to the page. */
export function isPagePath(path: string): boolean {
  return path === PAGE_PATH || path.startsWith(`${PAGE_PATH}/`);
}

/** Answers requests for the page; every address below `/app` that is no file is the page itself, which knows its routes. */
export function createPageRoute(directory = fileURLToPath(new URL(BESIDE, import.meta.url))) {
  const index = existsSync(join(directory, 'index.html')) ? readAsset(join(directory, 'index.html')) : null;
  const assets = index === null ? new Map<string, Asset>() : readAssets(join(directory, 'assets'));
  return (request: IncomingMessage, response: ServerResponse, path: string): void => {
    const isAsset = path.startsWith(ASSETS_PATH);
    const asset = isAsset ? assets.get(path.slice(ASSETS_PATH.length)) : index;
    if (request.method !== 'GET' && request.method !== 'HEAD')
      refuse(response, 405, `The page is read with GET, got ${request.method}.`);
    else if (index === null) refuse(response, 503, 'The page is not built: run `npm run build`.');
    else if (!asset) refuse(response, 404, `There is nothing at ${path}.`);
    else sendAsset(request, response, asset, { ...SECURITY, 'cache-control': isAsset ? YEAR : 'no-cache' });
  };
}

const CODES = { 404: 'NOT_FOUND', 405: 'INVALID_INPUT', 503: 'UNAVAILABLE' } as const;

function refuse(response: ServerResponse, status: keyof typeof CODES, message: string): void {
  if (status === 405) response.setHeader('allow', 'GET, HEAD');
  reply(response, status, failure(message, CODES[status]));
}

function readAssets(directory: string): Map<string, Asset> {
  const names = readdirSync(directory).filter((name) => extname(name) in TYPES);
  return new Map(names.map((name) => [name, readAsset(join(directory, name))]));
}

function readAsset(path: string): Asset {
  const read = (suffix: string) => (existsSync(path + suffix) ? readFileSync(path + suffix) : null);
  return createAsset(TYPES[extname(path)]!, readFileSync(path), { br: read('.br'), gzip: read('.gz') });
}
