import { captureResidPost } from '../../../src/engine/align/capture.ts';
import { generate } from '../../../src/engine/model/generate.ts';
import { createLanguageModel, type LanguageModel } from '../../../src/engine/model/languageModel.ts';
import { nextTokenLoss } from '../../../src/engine/model/loss.ts';
import type { Tokenizer } from '../../../src/formats/tokenizer.ts';
import { readInputs, rowsOf } from '../inputs.ts';
import type { CaptureWork, GenerateWork, ModelStepWork } from '../work.ts';
import { stepTask } from './step.ts';
import type { Task } from './task.ts';

/** Numbers of a capture that are compared; the whole would be a line of megabytes. */
const CHECKED_NUMBERS = 4096;

export function modelStepTask({ config, tokens, optimizer }: ModelStepWork, inputs: string): Promise<Task> {
  const decays = (name: string) => name.endsWith('.weight') && !name.includes('ln_');
  return stepTask(inputs, nextTokenLoss(config, tokens), optimizer, { decays, unread: ['inputs', 'labels'] });
}

export async function captureTask(work: CaptureWork, inputs: string): Promise<Task> {
  const { model, sequences } = await loadModel(work, inputs);
  const positions = sequences.map((tokens) => tokens.map((_, position) => position));
  const run = () => captureResidPost(model, sequences, { layer: work.layer, positions });
  return {
    async check() {
      const captured = await run();
      const stride = Math.ceil(captured.length / CHECKED_NUMBERS);
      return [...captured.filter((_, i) => i % stride === 0)];
    },
    run,
    units: 1,
  };
}

export async function generateTask(work: GenerateWork, inputs: string): Promise<Task> {
  const { model, sequences } = await loadModel(work, inputs);
  const run = () => generate(model, sequences, { maxNewTokens: work.newTokens });
  return {
    check: async () => (await run()).flatMap(({ tokens }) => tokens.map(({ id }) => id)),
    run,
    units: 1,
  };
}

export async function loadModel(
  { config }: Pick<CaptureWork, 'config'>,
  inputs: string,
): Promise<{ model: LanguageModel; sequences: number[][] }> {
  const { weights, batch } = await readInputs(inputs);
  const model = createLanguageModel(config, weights, numberTokenizer(config.dVocab));
  return { model, sequences: rowsOf(batch.tokens!) };
}

/** Has no end token, so that every row is generated to its end; texts are ids with spaces between. */
function numberTokenizer(dVocab: number): Tokenizer {
  const spell = () => {
    let begun = false;
    return (id: number) => {
      const text = `${begun ? ' ' : ''}${id}`;
      begun = true;
      return text;
    };
  };
  return {
    encode: (text) => text.split(' ').map(Number),
    decode: (ids) => ids.join(' '),
    ...{ spell, dVocab, padId: 0, eosId: -1, unkId: null, chat: null, startsWith: () => null },
  };
}
