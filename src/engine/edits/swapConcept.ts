/** One concept swap on one prompt, as the API offers it. */
import * as tf from '@tensorflow/tfjs-core';
import { invalidInput } from '../../errors.ts';
import { firstTooMany } from '../../formats/tokenTexts.ts';
import { isQuestion } from '../contract/dataset.ts';
import type { Continuation, SwapCall, SwapPlacement, SwapResult } from '../contract/swap.ts';
import type { LoadedPair } from '../loaded.ts';
import { branchTrunk, disposeTrunk, runTrunk, type Trunk } from '../model/decode.ts';
import { type Generation, generateFrom } from '../model/generate.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { behindPrefix } from '../model/tokens.ts';
import { takeRows } from '../rows.ts';
import type { Sae } from '../sae/sae.ts';
import { SLOT_ON } from './armed.ts';
import { applyEdits, type Edit, setLatents } from './edit.ts';
import { slotSwap } from './editors.ts';
import { Knowledge } from './knowledge.ts';
import { METHODS } from './methods.ts';
import { checkConcept, chooseSource } from './source.ts';
import { editingLast } from './steering.ts';
import { indexTargetPrompts } from './targetPrompts.ts';

type Call = Omit<SwapCall, 'model' | 'sae'>;

/**
 * Continues the prompt greedily as it is, and with the edit in the SAE's layer, where its placement says. The prompt
 * runs once up to that layer, and is encoded once.
 * @throws {AppError} INVALID_INPUT naming the part of the call that does not fit the model or the SAE.
 */
export async function swapConcept({ model, sae }: LoadedPair, call: Call): Promise<SwapResult> {
  const tokens = readPrompt(model, call.prompt);
  const { nConcepts } = sae.config;
  checkConcept(['target'], call.target, nConcepts);
  if (call.source !== null) checkConcept(['source'], call.source, nConcepts);
  const trunk = runTrunk(model, [tokens], sae.settings.layer);
  try {
    const swapped = swapPrompt(sae, trunk, call);
    const { maxNewTokens } = call;
    const [baseline] = await generateFrom(model, branchTrunk(model, trunk, trunk.resid), { maxNewTokens });
    const resid = tf.tensor3d(swapped.resid, trunk.resid.shape);
    const state = branchTrunk(model, trunk, resid);
    resid.dispose();
    const hook = call.placement === 'LAST_TOKEN' ? undefined : laterHook(sae, swapped, call.placement);
    const [result] = await generateFrom(model, state, { maxNewTokens, hookAt: hook && (() => hook) });
    const { source, before, after } = swapped;
    return {
      source,
      target: call.target,
      baseline: continuationOf(baseline!),
      result: continuationOf(result!),
      known: await isKnown(model, call),
      slots: Array.from(before, (value, concept) => ({
        index: sae.slot(concept),
        concept,
        before: value,
        after: after[concept]!,
      })),
    };
  } finally {
    disposeTrunk(trunk);
  }
}

/** Null where the dataset does not ask both. */
async function isKnown(model: LanguageModel, { asked, target }: Call): Promise<boolean | null> {
  const own = asked?.prompts.find(({ id }) => id === asked.id);
  const other = own && indexTargetPrompts(asked!.prompts)(own, target);
  if (!own || !other || !isQuestion(own) || !isQuestion(other)) return null;
  const knowledge = new Knowledge(model, async () => {});
  await knowledge.ask([own, other]);
  return knowledge.knowsBoth([own, other]);
}

interface SwappedPrompt {
  source: number;
  /** At the tokens of the answer. */
  laterEdit: Edit;
  /** The prompt's residual stream with the edit where it applies, `[1, T, dModel]`. */
  resid: Float32Array;
  /** Slots at the last token, `[nConcepts]`; after is what was set, or else what the SAE reads in the new activation. */
  before: Float32Array;
  after: Float32Array;
}

/** Armed, the edit applies wherever the source is on in the prompt, otherwise at its last token alone. */
function swapPrompt(
  sae: Sae,
  { resid }: Trunk,
  { source: named, target, method, alpha, alphaLater = alpha, placement }: Call,
): SwappedPrompt {
  const { dModel, nFree } = sae.config;
  const h = resid.dataSync<'float32'>().slice(); // [T, dModel]
  const T = h.length / dModel;
  const armed = placement === 'ARMED';
  const first = armed ? 0 : T - 1;
  const z = sae.latents(h.subarray(first * dModel)); // [T − first, nLatents]
  const before = z.slice((T - 1 - first) * sae.nLatents + nFree);
  const source = chooseSource({ source: named, target }, before);
  const editAt = METHODS[method].prepare(sae, slotSwap(sae, { source, target }));
  const edit = editAt(alpha);
  const isOn = (row: number) =>
    z[row * sae.nLatents + sae.slot(source)]! > SLOT_ON &&
    !sae.isSink(h.subarray((first + row) * dModel, (first + row + 1) * dModel));
  const rows = Array.from({ length: T - first }, (_, row) => row).filter((row) => !armed || isOn(row));
  const edited = applyEdits(
    sae,
    takeRows(h.subarray(first * dModel), rows, dModel),
    rows.map(() => edit),
    takeRows(z, rows, sae.nLatents),
  );
  rows.forEach((row, i) => {
    h.set(edited.subarray(i * dModel, (i + 1) * dModel), (first + row) * dModel);
  });
  const fired = rows.at(-1) === T - 1 - first;
  const after = fired ? slotsAfter(sae, z, edit, edited) : before;
  return { source, laterEdit: editAt(alphaLater), resid: h, before, after };
}

/** Slots of the last row of latents `z`, and of activations `edited`, once it is edited. */
function slotsAfter(sae: Sae, z: Float32Array, edit: Edit, edited: Float32Array): Float32Array {
  if ('set' in edit) return setLatents(sae, z.subarray(-sae.nLatents), [edit]).subarray(sae.config.nFree);
  return sae.slots(edited.subarray(-sae.config.dModel));
}

/** The edit at tokens that are fed back; armed, where the source is on. */
function laterHook(
  sae: Sae,
  { source, laterEdit }: SwappedPrompt,
  placement: Exclude<SwapPlacement, 'LAST_TOKEN'>,
) {
  return editingLast(sae.settings.layer, (h) => {
    const z = sae.latents(h);
    const applies = placement === 'ANSWER' || (z[sae.slot(source)]! > SLOT_ON && !sae.isSink(h));
    return applies ? applyEdits(sae, h, [laterEdit], z) : h;
  });
}

/** Token ids of a prompt that leaves room for an answer. */
export function readPrompt(model: LanguageModel, prompt: string): number[] {
  const { config, tokenizer, asking } = model;
  const tokens = asking.prompt(prompt);
  if (tokens.length >= 1 && tokens.length < config.nCtx) return tokens;
  const most = config.nCtx - 1;
  const where = tokens.length > most ? `; ${firstTooMany(tokenizer, asking.said(prompt), tokens, most)}` : '';
  const accepted = `1 to ${most} tokens${behindPrefix(model)}`;
  throw invalidInput(['prompt'], `prompt must be ${accepted}, got ${tokens.length}${where}`);
}

export function continuationOf({ text, tokens }: Generation): Continuation {
  return { text, tokens: tokens.map(({ text, probability }) => ({ text, probability })) };
}
