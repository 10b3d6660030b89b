/** Every kind of run in the schema; the compiler names one that is missing. */
import { RUN_KINDS, type RunKind } from '../../engine/contract/runs.ts';
import { builder } from '../builder.ts';
import { RunRef } from '../refs.ts';
import { alignmentRun } from './alignment.ts';
import { alignmentSweepRun } from './alignmentSweep.ts';
import { baselineRun } from './baseline.ts';
import { checkpointAnalysisRun } from './checkpointAnalysis.ts';
import { grokkingRun } from './grokking.ts';
import { hopSwapRun } from './hopSwap.ts';
import { knowledgeRun } from './knowledge.ts';
import { modelRun } from './model.ts';
import type { RunNode } from './node.ts';
import { saeEvaluationRun } from './saeEvaluation.ts';
import { swapSweepRun } from './swapSweep.ts';

const NODES: Record<RunKind, RunNode> = {
  MODEL: modelRun,
  ALIGNMENT: alignmentRun,
  BASELINE: baselineRun,
  SWAP_SWEEP: swapSweepRun,
  ALIGNMENT_SWEEP: alignmentSweepRun,
  GROKKING: grokkingRun,
  CHECKPOINT_ANALYSIS: checkpointAnalysisRun,
  HOP_SWAP: hopSwapRun,
  SAE_EVALUATION: saeEvaluationRun,
  KNOWLEDGE: knowledgeRun,
};

export const RunKindRef = builder.enumType('RunKind', {
  description: 'What a run does.',
  values: Object.fromEntries(RUN_KINDS.map((kind) => [kind, { description: NODES[kind].does }])) as Record<
    RunKind,
    { description: string }
  >,
});

builder.interfaceField(RunRef, 'kind', (t) =>
  t.field({ type: RunKindRef, description: 'What it does.', resolve: (run) => run.kind }),
);
