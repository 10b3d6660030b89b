/** The tables of results that can be taken out whole: what they hold, of which runs, and how they are read. */
import { type SQL, sql } from 'drizzle-orm';
import type { RunKind } from '../db/tables/index.ts';
import { wilsonInterval } from '../stats.ts';

/** How a value is shown; `id <Type>` is the global id of a row's uuid, `run id` that of a
 * run whose kind the row has as `<name>Kind`, `json` is nested. */
export type ColumnType = 'text' | 'number' | 'boolean' | 'time' | 'json' | 'run id' | `id ${string}`;

export interface Column {
  type: ColumnType;
  /** Made of the row as Postgres gave it; the value of the same name if left out. */
  from?: (row: Record<string, unknown>) => unknown;
}

export interface ExportTable {
  description: string;
  /** Runs that have it; null for all. */
  kinds: readonly RunKind[] | null;
  columns: Readonly<Record<string, Column>>;
  /** Names of what orders `rows`, unique together; pages go on behind the last values. */
  key: readonly string[];
  /** The rows of a run; may give more than the columns. */
  rows(runId: string): SQL;
}

const text: Column = { type: 'text' };
const number: Column = { type: 'number' };
const boolean: Column = { type: 'boolean' };
const time: Column = { type: 'time' };
const json: Column = { type: 'json' };

/** A share with its 95% Wilson interval, out of a count of successes (or the share itself) and one of trials. */
function rate(name: string, successes: (row: Record<string, unknown>) => unknown, trials: string) {
  const interval = (row: Record<string, unknown>) =>
    wilsonInterval(Number(successes(row)), Number(row[trials]));
  const value = (row: Record<string, unknown>) =>
    Number(row[trials]) === 0 ? null : Number(successes(row)) / Number(row[trials]);
  const column = (from: Column['from']): Column => ({ type: 'number', from });
  return {
    [name]: column(value),
    [`${name}Low`]: column((row) => interval(row)?.low ?? null),
    [`${name}High`]: column((row) => interval(row)?.high ?? null),
  };
}

const successRate = rate('successRate', ({ successes }) => successes, 'trials');
const accuracy = rate('accuracy', (row) => Math.round(Number(row.share) * Number(row.examples)), 'examples');

const BINDING_COLUMNS = {
  ...{ split: text, examples: number, ...accuracy, top3: number, top5: number },
  ...{ diagonalAccuracy: number, diagonalStrength: number, valueAccuracy: number },
  ...{ fvu: number, l0: number, deadLatents: number },
};
const BINDING = sql.raw(`m.split, m.examples, m.accuracy as share, m.top3, m.top5,
  m.diagonal_accuracy as "diagonalAccuracy", m.diagonal_strength as "diagonalStrength",
  m.value_accuracy as "valueAccuracy", m.fvu, m.l0, m.dead_latents as "deadLatents"`);
const SWAP_COLUMNS = {
  ...{ population: text, split: text, edited: text, alpha: number, chosen: boolean },
  ...{ trials: number, successes: number, ...successRate },
};
const SWAPS = sql.raw('m.population, m.split, m.control as edited, m.alpha, m.chosen, m.trials, m.successes');
const PART_COLUMNS = { run: { type: 'id AlignmentRun' } as Column, layer: number, seed: number };
const PART = sql.raw(`p.id as run, p.seed, (p.settings ->> 'layer')::int as layer`);
const CELL_COLUMNS = { position: number, edited: text, method: text, alpha: number };
/** Concepts of the run's ontology, whose positions are the engine's numbers. */
const conceptsOf = (runId: string) => sql`(
  select c.key, c.position from runs r join datasets d on d.id = r.dataset_id
  join concepts c on c.ontology_id = d.ontology_id where r.id = ${runId})`;

/** By the name in their address. */
export const EXPORT_TABLES: Readonly<Record<string, ExportTable>> = {
  metrics: {
    description: 'What was measured step by step while it ran, whole.',
    kinds: null,
    columns: { seq: number, at: time, step: number, name: text, value: number },
    key: ['seq', 'name'],
    rows: (runId) => sql`select seq, at, step, name, value from metric_points where run_id = ${runId}`,
  },
  events: {
    description:
      'Changes of its status, log lines, parts that ended, cells and checkpoints that were measured.',
    kinds: null,
    columns: {
      ...{
        seq: number,
        at: time,
        type: text,
        status: text,
        phase: text,
        progress: number,
        etaSeconds: number,
      },
      ...{ level: text, message: text, part: { type: 'run id' }, cell: number, checkpoint: number },
    },
    key: ['seq'],
    rows: (runId) => sql`
      select seq, at, type, payload ->> 'status' as status, payload ->> 'phase' as phase,
        payload -> 'progress' as progress, payload -> 'etaSeconds' as "etaSeconds", payload ->> 'level' as level,
        payload ->> 'message' as message, payload ->> 'partId' as part,
        (select kind from runs p where p.id = (payload ->> 'partId')::uuid) as "partKind",
        payload -> 'position' as cell, payload -> 'step' as checkpoint
      from run_events where run_id = ${runId}`,
  },
  binding: {
    description: 'Binding and reconstruction by split.',
    kinds: ['ALIGNMENT', 'BASELINE'],
    columns: BINDING_COLUMNS,
    key: ['split'],
    rows: (runId) => sql`select ${BINDING} from split_measures m where m.run_id = ${runId}`,
  },
  matrix: {
    description:
      'The binding matrix: share of the prompts about a concept whose strongest slot (of a baseline: best latent) is that of another.',
    kinds: ['ALIGNMENT', 'BASELINE'],
    columns: { split: text, concept: text, slot: text, share: number },
    key: ['split', 'row', 'col'],
    rows: (runId) => sql`
      select m.split, r.i as "row", c.i as col, a.key as concept, b.key as slot, c.value::float8 as share
      from split_measures m cross join jsonb_array_elements(m.matrix) with ordinality r (value, i)
        cross join jsonb_array_elements(r.value) with ordinality c (value, i)
        join ${conceptsOf(runId)} a on a.position = r.i - 1 join ${conceptsOf(runId)} b on b.position = c.i - 1
      where m.run_id = ${runId}`,
  },
  swaps: {
    description: 'Success of concept swaps beside the random-latent control, by population, split and alpha.',
    kinds: ['ALIGNMENT'],
    columns: SWAP_COLUMNS,
    key: ['population', 'split', 'edited', 'alpha'],
    rows: (runId) => sql`select ${SWAPS} from swap_measures m where m.run_id = ${runId}`,
  },
  interventions: {
    description: 'The concept swaps that were done one by one, oldest first.',
    kinds: ['ALIGNMENT'],
    columns: {
      ...{ id: { type: 'id Intervention' }, createdAt: time, method: text, alpha: number, armed: boolean },
      ...{ sourceConcept: text, targetConcept: text, prompt: text, expectedAnswer: text, success: boolean },
      ...{ baseline: text, result: text, baselineTokens: json, resultTokens: json, slots: json },
    },
    key: ['createdAt', 'id'],
    rows: (runId) => sql`
      select i.id, i.created_at as "createdAt", i.method, i.alpha, i.armed, s.key as "sourceConcept",
        t.key as "targetConcept", i.prompt, i.expected_answer as "expectedAnswer", i.success,
        i.baseline ->> 'text' as baseline, i.result ->> 'text' as result,
        i.baseline -> 'tokens' as "baselineTokens", i.result -> 'tokens' as "resultTokens", i.slots
      from interventions i join concepts s on s.id = i.source_concept_id
        join concepts t on t.id = i.target_concept_id
      where i.run_id = ${runId}`,
  },
  faithfulness: {
    description: 'Answers of the language model with the activation replaced, by split and replacement.',
    kinds: ['ALIGNMENT', 'BASELINE'],
    columns: {
      ...{ split: text, replacement: text, prompts: number, correct: number },
      ...rate('accuracy', ({ correct }) => correct, 'prompts'),
      crossEntropy: number,
    },
    key: ['split', 'replacement'],
    rows: (runId) => sql`
      select split, replacement, prompts, correct, cross_entropy as "crossEntropy"
      from faithfulness where run_id = ${runId}`,
  },
  latents: {
    description: 'The latent that tells each concept best.',
    kinds: ['ALIGNMENT', 'BASELINE'],
    columns: {
      ...{ concept: text, latent: number, separability: number, heldOutSeparability: number },
      ...{ meanActivation: number, fragmentation: number },
    },
    key: ['position'],
    rows: (runId) => sql`
      select c.position, c.key as concept, l.latent, l.separability, l.fragmentation,
        l.held_out_separability as "heldOutSeparability", l.mean_activation as "meanActivation"
      from concept_latents l join concepts c on c.id = l.concept_id where l.run_id = ${runId}`,
  },
  sweep: {
    description: 'Success and isolation by method and alpha, beside the controls.',
    kinds: ['SWAP_SWEEP'],
    columns: {
      ...{ ...CELL_COLUMNS, trials: number, successes: number, ...successRate },
      ...{ otherPrompts: number, otherPromptsKept: number, texts: number, textsKept: number },
      ...{ statements: number, statementsKept: number },
      ...rate('promptIsolation', (row) => row.otherPromptsKept, 'otherPrompts'),
      ...rate('textIsolation', (row) => row.textsKept, 'texts'),
      ...rate('statementIsolation', (row) => row.statementsKept, 'statements'),
    },
    key: ['position'],
    rows: (runId) => sql`
      select position, edited, method, alpha, trials, successes, other_prompts as "otherPrompts",
        other_prompts_kept as "otherPromptsKept", texts, texts_kept as "textsKept",
          statements, statements_kept as "statementsKept"
      from sweep_cells where run_id = ${runId}`,
  },
  pairs: {
    description: 'Success by method, alpha, source and target concept.',
    kinds: ['SWAP_SWEEP'],
    columns: {
      ...{ ...CELL_COLUMNS, source: text, target: text, trials: number, successes: number, ...successRate },
    },
    key: ['position', 'i'],
    rows: (runId) => sql`
      select s.position, s.edited, s.method, s.alpha, p.i, a.key as source, b.key as target,
        (p.pair ->> 'trials')::int as trials, (p.pair ->> 'successes')::int as successes
      from sweep_cells s cross join jsonb_array_elements(s.pairs) with ordinality p (pair, i)
        join ${conceptsOf(runId)} a on a.position = (p.pair ->> 'source')::int
        join ${conceptsOf(runId)} b on b.position = (p.pair ->> 'target')::int
      where s.run_id = ${runId}`,
  },
  points: {
    description: 'What was measured of each checkpoint.',
    kinds: ['GROKKING'],
    columns: {
      ...{ step: number, at: time, trainQuestions: number },
      ...rate('trainAccuracy', ({ trainCorrect }) => trainCorrect, 'trainQuestions'),
      heldOutQuestions: number,
      ...rate('heldOutAccuracy', ({ heldOutCorrect }) => heldOutCorrect, 'heldOutQuestions'),
      oneHopQuestions: number,
      ...rate('oneHopAccuracy', ({ oneHopCorrect }) => oneHopCorrect, 'oneHopQuestions'),
      ...{ loss: number, weightNorm: number, logitMargin: number },
    },
    key: ['step'],
    rows: (runId) => sql`
      select step, at, train_questions as "trainQuestions", train_correct as "trainCorrect",
        held_out_questions as "heldOutQuestions", held_out_correct as "heldOutCorrect",
        coalesce(one_hop_questions, 0) as "oneHopQuestions", one_hop_correct as "oneHopCorrect",
        loss, weight_norm as "weightNorm", logit_margin as "logitMargin"
      from grokking_points where run_id = ${runId} and seq is not null`,
  },
  'hop-binding': {
    description: 'Binding of each checkpoint by hop; the matrix has a row a relation and a column a slot.',
    kinds: ['GROKKING'],
    columns: {
      ...{ step: number, hop: number, top1: number, top3: number, top5: number, diagonalStrength: number },
      ...{ ablationEffect: number, matrix: json },
    },
    key: ['step', 'hop'],
    rows: (runId) => sql`
      select b.step, b.hop, b.top1, b.top3, b.top5, b.diagonal_strength as "diagonalStrength",
        b.ablation_effect as "ablationEffect", b.matrix
      from grokking_bindings b join grokking_points p on p.run_id = b.run_id and p.step = b.step
      where b.run_id = ${runId} and p.seq is not null`,
  },
  'hop-swaps': {
    description: 'Success and isolation at either hop by method, beside the controls, on held-out questions.',
    kinds: ['HOP_SWAP'],
    columns: {
      ...{ position: number, hop: number, edited: text, method: text, alpha: number },
      ...{ shownTrials: number, shownSuccesses: number },
      ...rate('shownRate', (row) => row.shownSuccesses, 'shownTrials'),
      ...{ withheldTrials: number, withheldSuccesses: number },
      ...rate('withheldRate', (row) => row.withheldSuccesses, 'withheldTrials'),
      ...{ otherQuestions: number, otherQuestionsKept: number },
      ...rate('isolation', (row) => row.otherQuestionsKept, 'otherQuestions'),
      choosing: json,
    },
    key: ['position'],
    rows: (runId) => sql`
      select position, hop, edited, method, alpha, shown_trials as "shownTrials",
        shown_successes as "shownSuccesses", withheld_trials as "withheldTrials",
        withheld_successes as "withheldSuccesses", other_questions as "otherQuestions",
        other_questions_kept as "otherQuestionsKept", choosing
      from hop_swaps where run_id = ${runId}`,
  },
  parts: {
    description: 'The alignments of the sweep.',
    kinds: ['ALIGNMENT_SWEEP'],
    columns: { ...PART_COLUMNS, status: text, progress: number, errorCode: text, errorMessage: text },
    key: ['run'],
    rows: (runId) => sql`
      select ${PART}, p.status, p.progress, p.error_code as "errorCode", p.error_message as "errorMessage"
      from runs p where p.parent_id = ${runId}`,
  },
  'part-binding': {
    description: 'Binding and reconstruction of each part, by split.',
    kinds: ['ALIGNMENT_SWEEP'],
    columns: { ...PART_COLUMNS, ...BINDING_COLUMNS },
    key: ['run', 'split'],
    rows: (runId) => sql`
      select ${PART}, ${BINDING} from runs p join split_measures m on m.run_id = p.id
      where p.parent_id = ${runId}`,
  },
  'part-swaps': {
    description: 'Success of concept swaps of each part, by population, split and alpha.',
    kinds: ['ALIGNMENT_SWEEP'],
    columns: { ...PART_COLUMNS, ...SWAP_COLUMNS },
    key: ['run', 'population', 'split', 'edited', 'alpha'],
    rows: (runId) => sql`
      select ${PART}, ${SWAPS} from runs p join swap_measures m on m.run_id = p.id
      where p.parent_id = ${runId}`,
  },
};
