/** The page: sources in `web/`, built into `dist/web` with hashed names and each file compressed beforehand. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import { ROOT, writeDocuments } from './documents.ts';

const SOURCES = ['web', 'src/client', 'scripts/page', 'schema.graphql', 'package-lock.json'];
const GENERATED = 'web/src/api/documents.ts';
const TARGET = join(ROOT, 'dist/web');
const STAMP = join(TARGET, 'sources.sha256');
const COMPRESSED = /\.(js|css|html|svg)$/;

/** Builds it when it is missing or its sources are others than those it was built from; needs no network. */
export async function buildPageIfStale(): Promise<boolean> {
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === hashSources()) return false;
  await buildPage();
  return true;
}

export async function buildPage(): Promise<void> {
  await writeDocuments();
  rmSync(TARGET, { recursive: true, force: true });
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { main: 'web/src/main.tsx' },
    outdir: join(TARGET, 'assets'),
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    assetNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    metafile: true,
    legalComments: 'linked',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    loader: { '.svg': 'file' },
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
  });
  writeFileSync(join(TARGET, 'index.html'), writeIndex(metafile));
  for (const name of readdirSync(TARGET, { recursive: true, encoding: 'utf8' })) compress(join(TARGET, name));
  writeFileSync(STAMP, hashSources());
}

/** The HTML with the names that the build gave; chunks of the first view are fetched with the entry, not after it. */
function writeIndex({ outputs }: Metafile): string {
  const [entry, { imports, cssBundle }] = Object.entries(outputs).find(
    ([, { entryPoint }]) => entryPoint === 'web/src/main.tsx',
  )!;
  const url = (path: string) => `/app/${path.replace('dist/web/', '')}`;
  const preloads = imports.filter(({ kind }) => kind === 'import-statement').map(({ path }) => url(path));
  const icon = `icon-${createHash('sha256')
    .update(readFileSync(join(ROOT, 'web/icon.svg')))
    .digest('hex')
    .slice(0, 8)}.svg`;
  mkdirSync(join(TARGET, 'assets'), { recursive: true });
  writeFileSync(join(TARGET, 'assets', icon), readFileSync(join(ROOT, 'web/icon.svg')));
  const head = [
    `<link rel="icon" href="/app/assets/${icon}">`,
    ...(cssBundle ? [`<link rel="stylesheet" href="${url(cssBundle)}">`] : []),
    ...preloads.map((href) => `<link rel="modulepreload" href="${href}">`),
    `<script type="module" src="${url(entry)}"></script>`,
  ];
  return readFileSync(join(ROOT, 'web/index.html'), 'utf8').replace('<!-- assets -->', head.join('\n    '));
}

function compress(path: string): void {
  if (!COMPRESSED.test(path)) return;
  const bytes = readFileSync(path);
  writeFileSync(
    `${path}.br`,
    brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
  );
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
}

function hashSources(): string {
  const hash = createHash('sha256');
  for (const source of SOURCES)
    for (const path of filesOf(source))
      if (path !== GENERATED) hash.update(path).update(readFileSync(join(ROOT, path)));
  return hash.digest('hex');
}

function filesOf(path: string): string[] {
  if (!statSync(join(ROOT, path)).isDirectory()) return [path];
  return readdirSync(join(ROOT, path))
    .sort()
    .flatMap((name) => filesOf(`${path}/${name}`));
}
