/** A checkpoint's files as they lie in a directory. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { type ByteSource, sourceOf } from '../checkpoint.ts';
import type { CheckpointFiles } from './importModel.ts';

/** The files of `directory`; the caller closes them. */
export function openDirectory(directory: string): CheckpointFiles & { close(): Promise<void> } {
  const opened = new Map<string, { file: FileHandle; source: ByteSource }>();
  return {
    async open(name) {
      const known = opened.get(name);
      if (known) return known.source;
      const file = await open(join(directory, name), 'r').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null;
        throw error;
      });
      if (!file) return null;
      const source = await sourceOf(file, name);
      opened.set(name, { file, source });
      return source;
    },
    async close() {
      for (const { file } of opened.values()) await file.close();
    },
  };
}
