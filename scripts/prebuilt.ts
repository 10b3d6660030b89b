/**
 * `npm run prebuilt`: compiles the addon for every kind of processor of this platform and packs it as
 * `alignsae-native-<platform>-<arch>`. Installed beside the server it spares its machine the compiler; compile it on
 * the oldest system that it shall run on. For another architecture, `CXX=aarch64-linux-gnu-g++ npm run prebuilt -- arm64`.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../src/config.ts';
import { RPATH } from '../src/engine/native/build.ts';
import { execute } from '../src/engine/native/command.ts';
import { ADDON, compileCommands, findCompiler, readBindingSource } from '../src/engine/native/compile.ts';
import { sha256Of } from '../src/engine/native/files.ts';
import { inspectMachine, unsupportedReason } from '../src/engine/native/machine.ts';
import { LEVELS, type Prebuilt, prebuiltPackage } from '../src/engine/native/prebuilt.ts';
import { unpackWheels } from '../src/engine/native/tensorflow.ts';
import { chooseWheels } from '../src/engine/native/wheels.ts';
import { ROOT } from './page/documents.ts';

const environment = process.env;
const target = process.argv[2] ?? arch();
if (!LEVELS[target])
  throw new Error(`there are addons for ${Object.keys(LEVELS).join(' and ')}, not for ${target}`);
const reason = unsupportedReason(await inspectMachine(environment));
if (reason) throw new Error(reason);
const { version, license, repository } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
const directory = mkdtempSync(join(tmpdir(), 'alignsae-prebuilt-'));
try {
  const source = await readBindingSource();
  const root = join(readConfig().cacheDir, 'native');
  mkdirSync(root, { recursive: true });
  const set = chooseWheels({ arch: target, gpus: [] });
  const tensorflow = await unpackWheels(set, root, environment, console.log);
  const compiler = await findCompiler(environment);
  const addons: Prebuilt['addons'] = [];
  for (const { name: level } of LEVELS[target]!) {
    console.log(`compiling for ${level}`);
    const place = join(directory, level);
    mkdirSync(place);
    for (const command of compileCommands(compiler, source, tensorflow, RPATH, place, `-march=${level}`))
      await execute(command, environment);
    const file = `${level}.node`;
    cpSync(join(place, ADDON), join(directory, file));
    rmSync(place, { recursive: true });
    addons.push({ file, level, sha256: await sha256Of(join(directory, file)) });
  }
  const prebuilt: Prebuilt = { contents: source.contents, addons };
  writeFileSync(join(directory, 'addons.json'), JSON.stringify(prebuilt, null, 2));
  const about = {
    name: prebuiltPackage(target),
    version,
    license,
    repository,
    os: [platform()],
    cpu: [target],
  };
  writeFileSync(join(directory, 'package.json'), JSON.stringify(about, null, 2));
  cpSync(join(ROOT, 'LICENSE'), join(directory, 'LICENSE'));
  execFileSync('npm', ['pack', '--silent', directory], { cwd: ROOT, stdio: 'inherit' });
} finally {
  rmSync(directory, { recursive: true, force: true });
}
