/** Runs that measure what a model knows of a dataset. */
import { sql } from 'drizzle-orm';
import type { Executor } from '../db/client.ts';
import type { Run } from '../db/queries/runs.ts';
import type { Split } from '../engine/contract/dataset.ts';
import {
  type KnowledgeSettings,
  type KnowledgeSettingsInput,
  knowledgeSettings,
} from '../engine/contract/knowledge.ts';
import { parseOrThrow } from '../errors.ts';
import type { EngineKind } from './kind.ts';
import { share } from './measure.ts';
import { queueRun } from './start.ts';
import { checkComputes, chooseStudied, loadSettled, type Studied } from './studied.ts';
import { conceptsOf, numbers, type ResultTable, rate, texts } from './table.ts';

type KnownRow = {
  concept: string;
  split: Split;
  asked: number;
  right: number;
};

const known: ResultTable = {
  description: 'Prompts that the model answers right by itself, by concept and split.',
  columns: {
    ...texts('concept split'),
    ...numbers('asked right'),
    ...rate('known', 'right', 'asked'),
  },
  key: ['concept', 'split'],
  rows: (runIds) => sql`
    select r.id as "runId", c.key as concept, k ->> 'split' as split, (k ->> 'asked')::int as asked,
      (k ->> 'right')::int as "right"
    from runs r cross join jsonb_array_elements(r.result -> 'known') k
      join ${conceptsOf(runIds)} c on c.run_id = r.id and c.position = (k ->> 'concept')::int
    where r.id in ${runIds}`,
  measures({ concept, split, asked, right }: KnownRow) {
    return share('KNOWN_PROMPTS', right, asked, { split, of: { concept } });
  },
};

export const knowledge: EngineKind<'KNOWLEDGE'> = {
  tables: { known },
  checkpoints: false,
  load: async (source, run) => ({ kind: 'KNOWLEDGE', ...(await loadSettled(source, run)) }),
  store: async (_target, _run, result) => ({ result: { known: result.known } }),
};

export interface NewKnowledgeRun extends Studied {
  settings?: KnowledgeSettingsInput;
}

/**
 * Queues the measurement of what a model knows of a dataset.
 * @throws AppError NOT_FOUND for the model or the dataset; INVALID_INPUT naming what is not acceptable.
 */
export async function startKnowledgeRun(db: Executor, input: NewKnowledgeRun): Promise<Run> {
  const settings: KnowledgeSettings = parseOrThrow(knowledgeSettings, input.settings ?? {}, ['settings']);
  const { model, dataset } = await chooseStudied(db, input);
  checkComputes(model, 'a knowledge run', ['modelId']);
  return queueRun(db, { kind: 'KNOWLEDGE', settings, modelId: model.id }, dataset);
}
