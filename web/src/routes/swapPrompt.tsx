/** Finding a prompt: those of the dataset about a concept, or one's own words. */
import { useId } from 'preact/hooks';
import { SwapPrompts } from '../api/documents.ts';
import { Search } from '../parts/search.tsx';
import { query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';
import type { ConceptName, Swap } from './swap.tsx';

const SHOWN = 40;

export function PromptSearch({
  dataset,
  concepts,
  swap,
}: {
  dataset: string;
  concepts: readonly ConceptName[];
  swap: Swap;
}) {
  const list = useId();
  const concept = concepts.find(({ key }) => key === swap.source)?.id ?? null;
  const words = query.value.get('words');
  const { data } = useQuery(SwapPrompts, { dataset, concept, split: 'TEST_OOD', first: SHOWN, text: words });
  const found = data?.node && 'examples' in data.node ? data.node.examples.edges.map(({ node }) => node) : [];
  // Something to look at from the start; the address stays free of it until it is chosen.
  const first = found[0];
  if (!query.value.has('prompt') && first) queueMicrotask(() => setQuery({ prompt: first.prompt }));
  return (
    <div class="fields prompt">
      <Search label="Search prompts" hint="find by words" name="words" />
      <label class="wide">
        Prompt
        <input
          list={list}
          value={swap.prompt}
          placeholder="Choose one of the dataset, or write your own"
          onInput={(event) => setQuery({ prompt: event.currentTarget.value })}
        />
      </label>
      <datalist id={list}>
        {found.map(({ id, prompt, answer }) => (
          <option key={id} value={prompt}>
            {answer}
          </option>
        ))}
      </datalist>
      <button
        type="button"
        disabled={found.length === 0}
        onClick={() => setQuery({ prompt: found[Math.floor(Math.random() * found.length)]!.prompt })}
      >
        Another
      </button>
    </div>
  );
}
