/** The job that asks a model a sample of a dataset's prompts, and counts what it answers right by itself. */
import { invalidInput } from '../../errors.ts';
import { createRandom } from '../../random.ts';
import { type EngineDataset, isQuestion, type Prompt, SPLITS } from '../contract/dataset.ts';
import type {
  ConceptKnowledge,
  KnowledgeJob,
  KnowledgeResult,
  KnowledgeSettings,
} from '../contract/knowledge.ts';
import type { JobContext } from '../contract/protocol.ts';
import { loadLanguageModel } from '../model/languageModel.ts';
import { promptedBy } from '../model/prompting.ts';
import { Knowledge } from './knowledge.ts';

/** Prompts after which progress is told. */
const AT_ONCE = 128;

/** @throws {AppError} INVALID_INPUT when the dataset has no question about one concept. */
export async function runKnowledge(
  { model: ref, dataset, settings }: KnowledgeJob,
  { reporter }: JobContext,
): Promise<KnowledgeResult> {
  const drawn = drawPrompts(dataset, settings);
  const all = drawn.flatMap(({ prompts }) => prompts);
  if (all.length === 0) throw invalidInput(['dataset'], 'the dataset asks nothing about one concept');
  reporter.progress({ phase: 'EVALUATE', progress: 0, etaSeconds: null });
  const loaded = await loadLanguageModel(ref);
  try {
    const knowledge = new Knowledge(promptedBy(loaded, dataset), () => reporter.breathe());
    const started = performance.now();
    for (let asked = 0; asked < all.length; ) {
      await knowledge.ask(all.slice(asked, asked + AT_ONCE));
      asked = Math.min(asked + AT_ONCE, all.length);
      const seconds = (performance.now() - started) / 1000;
      const etaSeconds = (seconds / asked) * (all.length - asked);
      reporter.progress({ phase: 'EVALUATE', progress: asked / all.length, etaSeconds });
    }
    return {
      kind: 'KNOWLEDGE',
      known: drawn.map(({ prompts, ...about }): ConceptKnowledge => {
        const right = prompts.filter((prompt) => knowledge.knows(prompt)).length;
        return { ...about, asked: prompts.length, right };
      }),
    };
  } finally {
    loaded.dispose();
  }
}

interface Drawn extends Pick<ConceptKnowledge, 'concept' | 'split'> {
  prompts: readonly Prompt[];
}

/** Of each concept and split the first prompts of a seeded order. */
function drawPrompts(
  { concepts, prompts }: EngineDataset,
  { seed, promptsPerConcept }: KnowledgeSettings,
): Drawn[] {
  const questions = prompts.filter((prompt) => prompt.concepts.length === 1 && isQuestion(prompt));
  return concepts.flatMap((_, concept) =>
    SPLITS.flatMap((split): Drawn[] => {
      const own = questions.filter((prompt) => prompt.concepts[0] === concept && prompt.split === split);
      const random = createRandom(seed, 'knowledge', concept, split);
      return own.length > 0
        ? [{ concept, split, prompts: random.shuffle(own).slice(0, promptsPerConcept) }]
        : [];
    }),
  );
}
