/** Where a two-hop question names its relations. */
import type { Tokenizer } from '../../formats/tokenizer.ts';
import type { EngineDataset } from '../contract/dataset.ts';

/**
 * Last tokens of R1's and R2's labels in a question that names R2 before R1; null where one is not named, or where the
 * tokenizer reads the question up to there otherwise than by itself.
 */
export function findRelations(
  prompt: string,
  relations: readonly [number, number],
  { concepts }: Pick<EngineDataset, 'concepts'>,
  { encode }: Tokenizer,
): [number, number] | null {
  // A label may stand at the beginning too.
  const text = ` ${prompt.toLowerCase()}`;
  const all = encode(prompt);
  const endOf = (relation: number, find: 'indexOf' | 'lastIndexOf') => {
    const label = ` ${concepts[relation]!.label.toLowerCase()}`;
    const at = text[find](label);
    const isWord = at >= 0 && !/\w/.test(text[at + label.length] ?? ' ');
    return isWord ? at + label.length - 1 : -1;
  };
  const ends = [endOf(relations[0], 'lastIndexOf'), endOf(relations[1], 'indexOf')];
  if (ends.includes(-1) || ends[0]! <= ends[1]!) return null;
  const places = ends.map((end) => {
    const before = encode(prompt.slice(0, end));
    return before.every((id, i) => all[i] === id) ? before.length - 1 : -1;
  });
  return places.includes(-1) ? null : (places as [number, number]);
}
