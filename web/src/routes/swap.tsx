/** Swapping a concept by hand: a prompt, a source, a target, a strength; what the model says before and after. */
import { useComputed } from '@preact/signals';
import { useEffect, useState } from 'preact/hooks';
import {
  type Split,
  type SwapControl,
  type SwapMethod,
  type SwapPopulation,
  type SwapSetupFragment,
  SwapView,
} from '../api/documents.ts';
import { RateCurves } from '../charts/curve.tsx';
import { words } from '../format.ts';
import { isOver, nameOf } from '../parts/run.tsx';
import { Empty, Failed, Waiting } from '../parts/states.tsx';
import { RunTabs } from '../parts/tabs.tsx';
import { query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';
import { Speech } from './speech.tsx';
import { PromptSearch } from './swapPrompt.tsx';
import { SwapResult } from './swapResult.tsx';

/** What the address says of a swap; all of it, so that a swap can be sent as a link. */
export interface Swap {
  prompt: string;
  source: string;
  target: string;
  alpha: number;
  method: SwapMethod;
  /** At the last prompt token alone, or at each token of the answer too. */
  place: 'LAST' | 'ANSWER';
}

export function SwapRoute({ id }: { id: string }) {
  const { data, error, again } = useQuery(SwapView, { id });
  if (!data) return <Waiting what="Loading the run" error={error} again={again} />;
  const { run } = data;
  if (!run) return <Failed isWhole title="There is no such run" message="It may have been deleted." />;
  return (
    <>
      <div class="title">
        <h1>Swap with {nameOf(run)}</h1>
      </div>
      <RunTabs id={run.id} kind={run.kind} />
      {'sae' in run && run.sae ? (
        <Bench run={run} setup={run} sae={run.sae.id} />
      ) : (
        <Empty title={isOver(run.status) ? 'There is no SAE to swap with' : 'Not yet'}>
          <p>Concepts are swapped with the slots of an alignment run that has succeeded.</p>
        </Empty>
      )}
    </>
  );
}

const METHODS: SwapMethod[] = [
  'LATENT_DECODE',
  'LATENT_DELTA',
  'DECODER_COLUMN',
  'DECODER_PAIR',
  'ORTHOGONAL',
  'MEAN_DIFFERENCE',
];

function Bench({ run, setup, sae }: { run: { id: string }; setup: SwapSetupFragment; sae: string }) {
  const { concepts } = setup.dataset.ontology;
  const swap = useComputed<Swap>(() => {
    const q = query.value;
    const keyOf = (name: string, other: number) => q.get(name) ?? concepts[other % concepts.length]!.key;
    const alpha = Number(q.get('alpha'));
    return {
      prompt: q.get('prompt') ?? '',
      source: keyOf('source', 0),
      target: keyOf('target', 1),
      alpha: q.has('alpha') && Number.isFinite(alpha) ? alpha : (setup.chosenAlpha ?? 1),
      method: METHODS.find((method) => method === q.get('method')) ?? 'LATENT_DECODE',
      place: q.get('place') === 'ANSWER' ? 'ANSWER' : 'LAST',
    };
  }).value;
  const settled = useSettled(swap, 150);
  return (
    <>
      <PromptSearch dataset={setup.dataset.id} concepts={concepts} swap={swap} />
      <Controls concepts={concepts} swap={swap} />
      <div class="halves">
        <SwapResult
          run={run.id}
          sae={sae}
          swap={settled}
          concepts={concepts}
          alphas={setup.settings.alphas}
        />
        <Success setup={setup} alpha={swap.alpha} />
      </div>
      <Speech
        concepts={concepts}
        run={run.id}
        prompt={settled.prompt}
        alpha={settled.alpha}
        method={settled.method}
        speaksWords={!setup.model?.source}
      />
    </>
  );
}

/** The value once it has stayed the same for a while: what is typed or dragged is not asked at every step. */
function useSettled<T>(value: T, ms: number): T {
  const [settled, settle] = useState(value);
  const key = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), ms);
    return () => clearTimeout(timer);
  }, [key]);
  return settled;
}

export interface ConceptName {
  id: string;
  key: string;
  label: string;
}

function Controls({ concepts, swap }: { concepts: readonly ConceptName[]; swap: Swap }) {
  const choose = (name: string) => (event: { currentTarget: { value: string } }) =>
    setQuery({ [name]: event.currentTarget.value });
  const options = concepts.map(({ key, label }) => (
    <option key={key} value={key}>
      {label}
    </option>
  ));
  return (
    <div class="fields">
      <label>
        Off
        <select value={swap.source} onChange={choose('source')}>
          {options}
        </select>
      </label>
      <span class="arrow" aria-hidden="true">
        →
      </span>
      <label>
        On
        <select value={swap.target} onChange={choose('target')}>
          {options}
        </select>
      </label>
      <label>
        Alpha
        <input type="number" step="0.05" value={swap.alpha} onInput={choose('alpha')} class="narrow" />
      </label>
      <label>
        <span class="hidden">Alpha, coarse</span>
        <input type="range" min="0" max="10" step="0.05" value={swap.alpha} onInput={choose('alpha')} />
      </label>
      <label>
        Method
        <select value={swap.method} onChange={choose('method')}>
          {METHODS.map((method) => (
            <option key={method} value={method}>
              {words(method)}
            </option>
          ))}
        </select>
      </label>
      <label>
        Where
        <select value={swap.place} onChange={choose('place')}>
          <option value="LAST">Last prompt token</option>
          <option value="ANSWER">Every token of the answer</option>
        </select>
      </label>
    </div>
  );
}

/** How often such swaps succeeded when the run was judged: over alpha where it was chosen, there beside the control. */
function Success({ setup, alpha }: { setup: SwapSetupFragment; alpha: number }) {
  const of = (control: SwapControl, population: SwapPopulation, split: Split) =>
    setup.swaps
      .filter((swap) => swap.control === control && swap.population === population && swap.split === split)
      .map(({ alpha: x, rate }) => ({ x, rate }));
  const curves = [
    { label: 'Slots, entities that chose alpha', points: of('CONCEPT', 'VALIDATION', 'VALIDATION') },
    { label: 'Slots, unseen entities, held-out phrasings', points: of('CONCEPT', 'UNSEEN', 'TEST_OOD') },
    { label: 'Random latents, the same', points: of('RANDOM_LATENT', 'UNSEEN', 'TEST_OOD') },
  ].filter(({ points }) => points.length > 0);
  if (curves.length === 0) return <Empty title="This dataset allows no judged swaps" />;
  return (
    <RateCurves
      title="Whole answers right after a swap, with 95% intervals"
      xLabel="alpha"
      yLabel="success"
      curves={curves}
      at={alpha}
      isLogX
      onPick={(x) => setQuery({ alpha: String(x) })}
    />
  );
}
