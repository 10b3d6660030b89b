/** The corpus that a run reads: chosen when it starts, loaded when it runs. */
import type { Executor } from '../db/client.ts';
import { readByIds } from '../db/queries/byIds.ts';
import { corpora } from '../db/tables/index.ts';
import type { AlignmentSettings } from '../engine/contract/alignmentSettings.ts';
import { type CorpusRef, usesOfTexts } from '../engine/contract/corpus.ts';
import { invalidInput, notFound } from '../errors.ts';
import type { JobSource } from './kind.ts';

/**
 * The corpus asked for, where the settings read one.
 * @param path Where the settings say so.
 * @throws AppError NOT_FOUND; INVALID_INPUT when there is one and nothing reads it, or none and something does.
 */
export async function chooseCorpus(
  db: Executor,
  corpusId: string | undefined,
  settings: AlignmentSettings,
  path: string,
): Promise<string | undefined> {
  const [use] = usesOfTexts(settings);
  if (corpusId === undefined) {
    if (!use) return undefined;
    const setting = use === 'PRETRAIN' ? path : 'silenceOn';
    throw invalidInput(['corpusId'], `corpusId is needed: ${setting} TEXTS reads the texts of a corpus`);
  }
  if (!use)
    throw invalidInput(
      ['corpusId'],
      `corpusId names texts that nothing would read: set ${path}, or silenceOn where weights.silence is above 0, to TEXTS, or leave corpusId out`,
    );
  await readCorpus(db, corpusId);
  return corpusId;
}

/** The run's corpus as the engine reads it; undefined where it reads none. @throws AppError UNAVAILABLE without its file. */
export async function loadCorpusRef(
  { db, store }: Pick<JobSource, 'db' | 'store'>,
  { corpusId }: { corpusId: string | null },
): Promise<CorpusRef | undefined> {
  if (corpusId === null) return undefined;
  const { name, artifactHash } = await readCorpus(db, corpusId);
  return { path: await store.path(artifactHash, `corpus "${name}"`), hash: artifactHash };
}

async function readCorpus(db: Executor, id: string) {
  const [corpus] = await readByIds(db, corpora, corpora.id, [id]);
  if (!corpus) throw notFound('Corpus', id);
  return corpus;
}
