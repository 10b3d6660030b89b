/**
 * What single slots do to answers: a slot is set to 0 where its concept is asked (knocked out), and to 1 where another is
 * (knocked in), everything else staying as it is. Told is the change of the log-odds of answers.
 */
import { createRandom } from '../../random.ts';
import { type CapturedPopulations, type CapturedPrompt, firstToken } from '../align/captured.ts';
import { KNOCK_EDITS, type SlotKnock } from '../contract/alignment.ts';
import type { Fact } from '../contract/dataset.ts';
import { runPrefixes, selectPrefixes } from '../model/continue.ts';
import { decode, disposeState } from '../model/decode.ts';
import { replacing } from '../model/edit.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { stackRows, takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import { applyEdits } from './edit.ts';

/** Prompts asked, shared out evenly among the concepts. */
const MAX_PROMPTS = 120;
/** Logits that may be held at once. */
const MAX_LOGITS = 2 ** 24;
/** What a knocked-in slot is set to: what a bound slot reads where its concept is asked. */
const ON = 1;

/** A prompt with what might be answered about its entity. */
interface Question {
  prompt: CapturedPrompt;
  concept: number;
  /** First token of the entity's value by concept; null without a value, or where it begins as the right answer does. */
  answers: readonly (number | null)[];
}

/**
 * Asked are prompts about `UNSEEN` entities, about `SEEN` ones where there are none, in held-out phrasings where there
 * are any. One entry a slot and edit, as far as there are prompts.
 */
export async function measureKnocks(
  { model, sae }: { model: LanguageModel; sae: Sae },
  facts: readonly Fact[],
  captured: CapturedPopulations,
  breathe: () => Promise<void>,
): Promise<SlotKnock[]> {
  const questions = drawQuestions(model, sae, facts, captured);
  if (questions.length === 0) return [];
  const { split } = questions[0]!.prompt;
  const logOdds = await createLogOdds(model, sae, questions, breathe);
  try {
    const all = questions.map((_, i) => i);
    const before = await logOdds(all, null);
    const knocks: SlotKnock[] = [];
    for (let slot = 0; slot < sae.config.nConcepts; slot++) {
      for (const edit of KNOCK_EDITS) {
        const asked = all.filter((i) => (questions[i]!.concept === slot) === (edit === 'KNOCK_OUT'));
        if (asked.length === 0) continue;
        const after = await logOdds(asked, { slot, value: edit === 'KNOCK_OUT' ? 0 : ON });
        const changes = asked.map((i, row) => ({
          concept: questions[i]!.concept,
          by: after[row]!.map((value, c) => (value === null ? null : value - before[i]![c]!)),
        }));
        knocks.push({ split, slot, edit, prompts: asked.length, ...meanChanges(changes) });
      }
    }
    return knocks;
  } finally {
    logOdds.dispose();
  }
}

function drawQuestions(
  model: LanguageModel,
  sae: Sae,
  facts: readonly Fact[],
  { SEEN, UNSEEN }: CapturedPopulations,
): Question[] {
  const entities = UNSEEN.length > 0 ? UNSEEN : SEEN;
  const heldOut = entities.filter(({ split }) => split === 'TEST_OOD');
  const prompts = heldOut.length > 0 ? heldOut : entities.filter(({ split }) => split === 'TRAIN');
  const answerOf = new Map(facts.map(({ entity, concept, value }) => [`${concept} ${entity}`, value]));
  const { nConcepts } = sae.config;
  const questions = createRandom(sae.settings.seed, 'knocks')
    .shuffle([...prompts])
    .flatMap((prompt): Question[] => {
      const concept = prompt.concepts[0]!;
      const tokens = Array.from({ length: nConcepts }, (_, c) => {
        const value = answerOf.get(`${c} ${prompt.entity}`);
        return value === undefined ? null : firstToken(model, value);
      });
      const right = tokens[concept]!;
      const answers = tokens.map((token, c) => (c !== concept && token === right ? null : token));
      return right === null ? [] : [{ prompt, concept, answers }];
    });
  const share = Math.ceil(MAX_PROMPTS / nConcepts);
  return Array.from({ length: nConcepts }, (_, c) =>
    questions.filter(({ concept }) => concept === c).slice(0, share),
  ).flat();
}

/** For each question the log-odds of the answers' first tokens, by concept. */
type LogOdds = (
  asked: readonly number[],
  edit: { slot: number; value: number } | null,
) => Promise<(number | null)[][]>;

async function createLogOdds(
  model: LanguageModel,
  sae: Sae,
  questions: readonly Question[],
  breathe: () => Promise<void>,
): Promise<LogOdds & { dispose(): void }> {
  const { dModel, dVocab } = model.config;
  const prompts = questions.map(({ prompt }) => model.asking.prompt(prompt.prompt));
  const h = stackRows(
    questions.map(({ prompt }) => prompt),
    dModel,
  );
  const atOnce = Math.max(1, Math.floor(MAX_LOGITS / dVocab));
  const prefixes = runPrefixes(model, prompts);
  const logOdds: LogOdds = async (asked, edit) => {
    const odds: (number | null)[][] = [];
    for (let start = 0; start < asked.length; start += atOnce) {
      const rows = asked.slice(start, start + atOnce);
      const values = edited(sae, takeRows(h, rows, dModel), edit);
      const hook = replacing(
        { layer: sae.settings.layer, values },
        rows.map(() => [0]),
        0,
      );
      const branched = selectPrefixes(prefixes, rows);
      const last = rows.map((i) => prompts[i]!.at(-1)!);
      const state = decode(model, branched, last, edit ? hook : undefined);
      const logits = await state.logits.data<'float32'>();
      disposeState(branched);
      disposeState(state);
      rows.forEach((i, row) => {
        odds.push(logOddsOf(logits.subarray(row * dVocab, (row + 1) * dVocab), questions[i]!.answers));
      });
      await breathe();
    }
    return odds;
  };
  return Object.assign(logOdds, { dispose: () => prefixes.dispose() });
}

/** Raw activations with the slot at this value; what the SAE does not rebuild of them stays. */
function edited(sae: Sae, h: Float32Array, edit: { slot: number; value: number } | null): Float32Array {
  if (!edit) return h;
  const set = [{ latent: sae.slot(edit.slot), value: edit.value }];
  const rows = h.length / sae.config.dModel;
  return applyEdits(
    sae,
    h,
    Array.from({ length: rows }, () => ({ set, keepsError: true })),
  );
}

/** `log p − log(1 − p)` of each of these tokens, from `logits [dVocab]`; what is not a token stays null. */
export function logOddsOf(logits: Float32Array, tokens: readonly (number | null)[]): (number | null)[] {
  const highest = logits.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
  const named = [...new Set(tokens.flatMap((token) => token ?? []))];
  // Those named are left out of one sum and added again but for each itself: 1 − p is then never a difference.
  let rest = 0;
  logits.forEach((value, token) => {
    if (!named.includes(token)) rest += Math.exp(value - highest);
  });
  return tokens.map((token) => {
    if (token === null) return null;
    const others = named
      .filter((other) => other !== token)
      .reduce((sum, other) => sum + Math.exp(logits[other]! - highest), rest);
    return logits[token]! - highest - Math.log(others);
  });
}

/** Means over the prompts: of the answer asked for, and of each concept where something else is asked. */
function meanChanges(
  changes: readonly { concept: number; by: readonly (number | null)[] }[],
): Pick<SlotKnock, 'asked' | 'others'> {
  const mean = (values: readonly (number | null)[]) => {
    const known = values.filter((value): value is number => value !== null);
    const answers = known.length;
    return { answers, change: answers > 0 ? known.reduce((sum, value) => sum + value, 0) / answers : null };
  };
  return {
    asked: mean(changes.map(({ concept, by }) => by[concept]!)),
    others: changes[0]!.by.map((_, c) =>
      mean(changes.flatMap(({ concept, by }) => (concept === c ? [] : [by[c]!]))),
    ),
  };
}
