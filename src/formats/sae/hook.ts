/** Where an SAE from elsewhere reads, as a layer of this engine. */
import { invalidInput } from '../../errors.ts';

/** TransformerLens' names of the residual stream behind and before a block. */
const RESID = /^blocks\.(\d{1,4})\.hook_resid_(post|pre)$/;

/** @throws AppError INVALID_INPUT naming the hook where this engine does not read there. */
export function layerOfHook(hook: string, file: string): number {
  const match = RESID.exec(hook);
  if (!match)
    throw invalidInput(
      [file, 'hook_name'],
      `${file}: hook_name is ${JSON.stringify(hook.slice(0, 100))}; this engine reads the residual stream alone: blocks.{layer}.hook_resid_post and blocks.{layer}.hook_resid_pre`,
    );
  return Number(match[1]) - (match[2] === 'pre' ? 1 : 0);
}

/** The layer that the files name or the caller does; both must agree. @throws AppError INVALID_INPUT at `layer`. */
export function chooseLayer(found: number | null, asked: number | null, file: string): number {
  if (found === null && asked === null)
    throw invalidInput(['layer'], `layer is needed: ${file} does not say which layer the SAE reads`);
  if (found !== null && asked !== null && found !== asked)
    throw invalidInput(
      ['layer'],
      `layer is ${asked}, but by ${file} the SAE reads layer ${found}; leave it out`,
    );
  return (found ?? asked)!;
}
