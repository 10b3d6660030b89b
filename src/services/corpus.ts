/** Text corpora: what an SAE may learn from besides the prompts of a dataset. */
import { z } from 'zod';
import {
  CORPUS_FORMATS,
  type CorpusFormat,
  checkDocuments,
  corpusFormatOf,
  readDocuments,
} from '../data/corpus.ts';
import { shortText } from '../data/text.ts';
import type { ArtifactStore } from '../db/artifactStore.ts';
import type { Db, Executor } from '../db/client.ts';
import { storeArtifact } from '../db/queries/artifacts.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { type Page, type PageArgs, readPage } from '../db/queries/page.ts';
import { corpora } from '../db/tables/index.ts';
import { AppError, parseOrThrow } from '../errors.ts';
import { writeCorpus } from '../formats/corpusFile.ts';
import { type ImportFile, type ImportSource, openSource } from './importSource.ts';

export type Corpus = typeof corpora.$inferSelect;

export interface NewCorpus extends ImportSource {
  /** Of all files; by their names if left out. */
  format?: CorpusFormat | null;
  name?: string | null;
}

/**
 * Imports documents as they are read, whole or not at all: they are never in memory together.
 * @throws AppError INVALID_INPUT naming the field, or the file and its bad lines.
 */
export async function importCorpus(
  { db, store, importDir }: { db: Db; store: ArtifactStore; importDir: string },
  input: NewCorpus,
): Promise<Corpus> {
  const format = parseOrThrow(z.enum(CORPUS_FORMATS).nullish(), input.format, ['format']);
  const name = parseOrThrow(shortText.nullish(), input.name, ['name']);
  const source = await openSource(input, importDir);
  try {
    const files = source.files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const { file, documents, bytes } = await writeCorpus(store.newPath(), documentsOf(files, format ?? null));
    checkDocuments(documents);
    return await db.transaction(async (tx) => {
      const artifactHash = await storeArtifact(tx, store, file, 'CORPUS');
      const [corpus] = await tx
        .insert(corpora)
        .values({
          name: name ?? input.path ?? files[0]!.name,
          source: { path: input.path ?? null, files: files.map((each) => each.name) },
          documents,
          bytes,
          artifactHash,
        })
        .returning();
      return corpus!;
    });
  } finally {
    source.close();
  }
}

/** Of several files, what is wrong is said with the file's name. */
async function* documentsOf(
  files: readonly ImportFile[],
  format: CorpusFormat | null,
): AsyncGenerator<string> {
  for (const { name, bytes } of files) {
    try {
      yield* readDocuments(bytes, format ?? corpusFormatOf(name));
    } catch (error) {
      if (!(error instanceof AppError) || files.length === 1) throw error;
      throw new AppError(error.code, `${name}: ${error.message}`, { path: error.path, cause: error });
    }
  }
}

/** For each id its corpus, or null. */
export function corporaByIds(db: Executor, ids: readonly string[]): Promise<(Corpus | null)[]> {
  return readByIds(db, corpora, corpora.id, ids);
}

/** Corpora, newest first. */
export function listCorpora(db: Executor, args: PageArgs): Promise<Page<Corpus>> {
  const order = { columns: [corpora.createdAt, corpora.id], direction: 'desc' } as const;
  return readPage(db, corpora, { order }, args);
}
