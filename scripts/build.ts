/** `npm run build`: everything that a packed server is made of, into `dist`. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { writeSchemaTypes } from './package/schemaTypes.ts';
import { copyTfjsNode } from './package/tfjsNode.ts';
import { buildPage } from './page/build.ts';
import { ROOT } from './page/documents.ts';

const dist = join(ROOT, 'dist');
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

// What is no longer made shall not be packed.
rmSync(dist, { recursive: true, force: true });
for (const project of ['tsconfig.build.json', 'tsconfig.client.json'])
  execFileSync(process.execPath, [tsc, '-p', project], { cwd: ROOT, stdio: 'inherit' });
copyTfjsNode(join(dist, 'tfjs-node'));
await writeSchemaTypes(join(dist, 'schemaTypes.d.ts'));
await buildPage();
