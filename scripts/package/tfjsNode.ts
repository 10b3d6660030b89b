/** `dist/tfjs-node`: the parts of tfjs-node that the server uses, without what would fetch another TensorFlow. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ROOT } from '../page/documents.ts';

const require = createRequire(import.meta.url);
const directoryOf = (name: string) => dirname(require.resolve(`${name}/package.json`));

export function copyTfjsNode(target: string): void {
  const source = directoryOf('@tensorflow/tfjs-node-gpu');
  mkdirSync(target, { recursive: true });
  cpSync(join(source, 'binding'), join(target, 'binding'), { recursive: true });
  cpSync(join(source, 'dist'), join(target, 'dist'), {
    recursive: true,
    filter: (path) => !/(_test\.js|\.d\.ts)$/.test(path),
  });
  // Apache-2.0, of which the package itself has no copy.
  cpSync(join(ROOT, 'node_modules/@opentelemetry/api/LICENSE'), join(target, 'LICENSE'));
  const { name, version, license, repository } = JSON.parse(
    readFileSync(join(source, 'package.json'), 'utf8'),
  );
  const about = { name, version, license, repository, private: true };
  writeFileSync(join(target, 'package.json'), `${JSON.stringify(about, null, 2)}\n`);
}
