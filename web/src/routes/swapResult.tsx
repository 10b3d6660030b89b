/** What the model says before and after an edit, token by token, and what it does at other strengths. */
import { type ContinuationFieldsFragment, Steer, type SteerQuery } from '../api/documents.ts';
import { number, share } from '../format.ts';
import { Failed, Loading } from '../parts/states.tsx';
import { setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';
import { SlotArrows } from './slotArrows.tsx';
import type { ConceptName, Swap } from './swap.tsx';

const MAX_NEW_TOKENS = 16;

interface Props {
  run: string;
  sae: string;
  swap: Swap;
  concepts: readonly ConceptName[];
  alphas: readonly number[];
}

export function SwapResult({ sae, swap, concepts, alphas }: Props) {
  const { data, error, isLoading, again } = useQuery(
    Steer,
    swap.prompt.trim() === '' ? null : variablesOf(sae, swap, alphas),
  );
  if (swap.prompt.trim() === '') return <p class="quiet pad">Choose a prompt, or write one.</p>;
  if (error) return <Failed title="The model could not be asked" message={error.message} again={again} />;
  if (!data) return <Loading what="Asking the model" />;
  const { baseline, results } = data.steer;
  const after = results.find(({ alpha }) => alpha === swap.alpha) ?? results[0]!;
  return (
    <section aria-busy={isLoading} class={isLoading ? 'stale' : ''}>
      <div class="answers">
        <Answer title="Before" continuation={baseline} other={after.continuation} />
        <Answer
          title={`After, alpha ${number(after.alpha)}`}
          continuation={after.continuation}
          other={baseline}
        />
      </div>
      <SlotArrows slots={slotsOf(data, concepts)} swap={swap} />
      <Alphas results={results} baseline={baseline.text} at={after.alpha} />
    </section>
  );
}

function variablesOf(
  saeId: string,
  { prompt, source, target, alpha, method, place }: Swap,
  alphas: readonly number[],
) {
  return {
    saeId,
    prompt,
    maxNewTokens: MAX_NEW_TOKENS,
    alphas: [...new Set([...alphas, alpha])].sort((a, b) => a - b).slice(0, 32),
    edits: [
      {
        action: 'SWAP' as const,
        source: { concept: source },
        target: { concept: target },
        method,
        place: place === 'LAST' ? { fromStep: 0, untilStep: 0 } : {},
      },
    ],
  };
}

/** Each slot at the last prompt token, before any edit; those that do not fire are at 0. */
function slotsOf({ activations }: SteerQuery, concepts: readonly ConceptName[]) {
  const last = activations.tokens.at(-1)?.latents ?? [];
  return concepts.map(({ key, label }) => ({
    key,
    label,
    before: last.find(({ latent }) => latent.concept?.key === key)?.activation ?? 0,
  }));
}

function Answer({
  title,
  continuation,
  other,
}: {
  title: string;
  continuation: ContinuationFieldsFragment;
  other: ContinuationFieldsFragment;
}) {
  return (
    <div class="answer">
      <h2>{title}</h2>
      <p class="said">
        <Tokens continuation={continuation} other={other} />
      </p>
    </div>
  );
}

/** Underlined where the other text has another token; each says how sure the model was. */
export function Tokens({
  continuation,
  other,
}: {
  continuation: ContinuationFieldsFragment;
  other?: ContinuationFieldsFragment;
}) {
  return (
    <>
      {continuation.tokens.map(({ text, probability }, i) => {
        const differs = other !== undefined && other.tokens[i]?.text !== text;
        return (
          <span
            key={i}
            class={`token${differs ? ' differs' : ''}`}
            title={`probability ${share(probability)}`}
            style={{ opacity: String(0.7 + 0.3 * probability) }}
          >
            {text}
          </span>
        );
      })}
      {continuation.tokens.length === 0 && <span class="quiet">(nothing)</span>}
    </>
  );
}

function Alphas({
  results,
  baseline,
  at,
}: {
  results: SteerQuery['steer']['results'];
  baseline: string;
  at: number;
}) {
  return (
    <table class="alphas">
      <thead>
        <tr>
          <th scope="col" class="number">
            Alpha
          </th>
          <th scope="col">Answer</th>
        </tr>
      </thead>
      <tbody>
        {results.map(({ alpha, continuation }) => (
          <tr key={alpha} aria-current={alpha === at ? 'true' : undefined}>
            <td class="number">
              <button type="button" class="link" onClick={() => setQuery({ alpha: String(alpha) })}>
                {number(alpha)}
              </button>
            </td>
            <td class={continuation.text === baseline ? 'quiet' : ''}>
              {continuation.text.trim() || '(nothing)'}
              {continuation.text === baseline && ' (as before)'}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
