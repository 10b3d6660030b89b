/** Stand-ins for the programs that the builder runs, and wheels small enough to make here. */
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

export interface Programs {
  /** To be used as PATH. */
  directory: string;
  /** Arguments of every call so far, one call an element. */
  calls(): Promise<string[]>;
}

/**
 * Writes programs by name; each body is JavaScript that sees its arguments as `args` and `node:fs` as `fs`, and
 * `out(flag)` as the argument after a flag.
 */
export async function writePrograms(bodies: Record<string, string>): Promise<Programs> {
  const directory = await mkdtemp(join(tmpdir(), 'alignsae-programs-'));
  const log = join(directory, 'calls.log');
  await writeFile(log, '');
  for (const [name, body] of Object.entries(bodies)) {
    const script = `#!${process.execPath}
const fs = require('node:fs');
const args = process.argv.slice(2);
const out = (flag) => args[args.indexOf(flag) + 1];
fs.appendFileSync(${JSON.stringify(log)}, ${JSON.stringify(name)} + ' ' + args.join(' ') + '\\n');
${body}
`;
    await writeFile(join(directory, name), script);
    await chmod(join(directory, name), 0o755);
  }
  const calls = async () => (await readFile(log, 'utf8')).split('\n').filter(Boolean);
  return { directory, calls };
}

/** A zip archive of uncompressed files. */
export function zipOf(files: Record<string, { content: string; mode?: number }>): Buffer {
  const locals: Buffer[] = [];
  const central: Buffer[] = [];
  let offset = 0;
  for (const [name, { content, mode = 0o644 }] of Object.entries(files)) {
    const [data, path] = [Buffer.from(content), Buffer.from(name)];
    const common = Buffer.alloc(26); // version … extra length, which both headers share
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(path.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, path, data]);
    const attributes = Buffer.alloc(14);
    attributes.writeUInt32LE((mode << 16) >>> 0, 6);
    attributes.writeUInt32LE(offset, 10);
    central.push(Buffer.from('PK\x01\x02\x14\x03', 'latin1'), common, attributes, path);
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(locals.length, 4);
  end.writeUInt16LE(locals.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, directory, Buffer.from('PK\x05\x06'), end]);
}
