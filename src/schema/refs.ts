/**
 * The object types with the rows behind them, and their connections, so that noun files can refer to one another
 * without importing one another.
 */
import { RUN_KINDS, type RunKind } from '../engine/contract/runs.ts';
import type { ApiKey } from '../services/apiKey.ts';
import type { Corpus } from '../services/corpus.ts';
import type { Dataset, Example, Fact } from '../services/dataset.ts';
import type { Worker } from '../services/engine.ts';
import type { GrokkingPoint } from '../services/grokking.ts';
import type { Intervention } from '../services/intervention.ts';
import type { Latent } from '../services/latent.ts';
import type { Model } from '../services/model.ts';
import type { Concept, Ontology } from '../services/ontology.ts';
import type { Run } from '../services/run.ts';
import type { Sae } from '../services/sae.ts';
import type { Slot } from '../services/slot.ts';
import type { Steering } from '../services/steering.ts';
import { builder } from './builder.ts';
import { typenameOf } from './ids.ts';

export const OntologyRef = builder.objectRef<Ontology>('Ontology');
export const ConceptRef = builder.objectRef<Concept>('Concept');
export const DatasetRef = builder.objectRef<Dataset>('Dataset');
export const CorpusRef = builder.objectRef<Corpus>('Corpus');
export const ExampleRef = builder.objectRef<Example>('Example');
export const FactRef = builder.objectRef<Fact>('Fact');
export const ModelRef = builder.objectRef<Model>('Model');
export const LatentRef = builder.objectRef<Latent>('Latent');
export const SaeRef = builder.objectRef<Sae>('Sae');
export const RunRef = builder.interfaceRef<Run>('Run');
/** The type of each kind of run. */
export const RUN_REFS = Object.fromEntries(
  RUN_KINDS.map((kind) => [kind, builder.objectRef<Run>(typenameOf(kind))]),
) as Record<RunKind, ReturnType<typeof builder.objectRef<Run>>>;
export const {
  MODEL: ModelRunRef,
  ALIGNMENT: AlignmentRunRef,
  BASELINE: BaselineRunRef,
  CHECKPOINT_ANALYSIS: CheckpointAnalysisRunRef,
  SAE_EVALUATION: SaeEvaluationRunRef,
} = RUN_REFS;
export const GrokkingPointRef = builder.objectRef<GrokkingPoint>('GrokkingPoint');
export const SlotRef = builder.objectRef<Slot>('Slot');
export const InterventionRef = builder.objectRef<Intervention>('Intervention');
export const SteeringRef = builder.objectRef<Steering>('Steering');
export const WorkerRef = builder.objectRef<Worker>('Worker');
export const ApiKeyRef = builder.objectRef<ApiKey>('ApiKey');

export const OntologyConnection = connectionOf(OntologyRef, 'ontologies');
export const DatasetConnection = connectionOf(DatasetRef, 'datasets');
export const CorpusConnection = connectionOf(CorpusRef, 'corpora');
export const ExampleConnection = connectionOf(ExampleRef, 'examples');
export const FactConnection = connectionOf(FactRef, 'facts');
export const ModelConnection = connectionOf(ModelRef, 'models');
export const SaeConnection = connectionOf(SaeRef, 'SAEs');
export const LatentConnection = connectionOf(LatentRef, 'latents');
export const RunConnection = connectionOf(RunRef, 'runs');
export const AlignmentRunConnection = connectionOf(AlignmentRunRef, 'alignment runs');
export const CheckpointAnalysisRunConnection = connectionOf(CheckpointAnalysisRunRef, 'checkpoint analyses');
export const SaeEvaluationRunConnection = connectionOf(SaeEvaluationRunRef, 'SAE evaluations');
export const SlotConnection = connectionOf(SlotRef, 'slots');
export const InterventionConnection = connectionOf(InterventionRef, 'interventions');
export const SteeringConnection = connectionOf(SteeringRef, 'steerings');

function connectionOf<Ref extends { name: string } & Parameters<typeof builder.connectionObject>[0]['type']>(
  type: Ref,
  plural: string,
) {
  return builder.connectionObject(
    { type, name: `${type.name}Connection`, description: `One page of ${plural}.` },
    { name: `${type.name}Edge`, description: `One of the ${plural} of a page, with its place in the list.` },
  );
}
