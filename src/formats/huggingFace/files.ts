/** A checkpoint's files as they lie on disk. */
import type { FileHandle } from 'node:fs/promises';
import { openRegular } from '../regularFile.ts';
import { type ByteSource, sourceOf } from '../safetensors.ts';
import type { CheckpointFiles } from './checkpoint.ts';

/** Files at the paths that `locate` finds for their names; the caller closes them. */
export function openFiles(
  locate: (name: string) => Promise<string | null>,
): CheckpointFiles & { close(): Promise<void> } {
  const opened = new Map<string, { file: FileHandle; source: ByteSource }>();
  return {
    async open(name) {
      const known = opened.get(name);
      if (known) return known.source;
      const path = await locate(name);
      if (path === null) return null;
      const file = await openRegular(path, name);
      const source = await sourceOf(file, name);
      opened.set(name, { file, source });
      return source;
    },
    async close() {
      for (const { file } of opened.values()) await file.close();
    },
  };
}
