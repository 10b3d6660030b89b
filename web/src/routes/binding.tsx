/** How well slots are bound to their concepts: the paper's matrix, with intervals, as picture and as table. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import {
  Binding as BindingDocument,
  type BindingMeasuresFragment,
  ConceptExamples,
  type Split,
} from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { Matrix } from '../charts/matrix.tsx';
import { share } from '../format.ts';
import { Choice, SPLITS } from '../parts/choice.tsx';
import { Rate, rateText } from '../parts/rate.tsx';
import { isOver, nameOf } from '../parts/run.tsx';
import { Empty, Failed, Waiting } from '../parts/states.tsx';
import { RunTabs } from '../parts/tabs.tsx';
import { query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';
import { wilson } from '../stats.ts';
import { BindingTraining } from './bindingTraining.tsx';
import { SlotDrawer } from './slotDrawer.tsx';

export function Binding({ id }: { id: string }) {
  const split = (query.value.get('split') ?? 'TEST_OOD') as Split;
  const { data, error, again } = useQuery(BindingDocument, { id, split });
  const opened = query.value.get('slot');
  if (!data) return <Waiting what="Loading the binding matrix" error={error} again={again} />;
  const { run } = data;
  if (!run) return <Failed isWhole title="There is no such run" message="It may have been deleted." />;
  const binding = 'binding' in run ? run.binding : null;
  return (
    <>
      <div class="title">
        <h1>Binding of {nameOf(run)}</h1>
      </div>
      <RunTabs id={run.id} kind={run.kind} />
      <div class="tools">
        <Choice
          label="Prompts"
          options={SPLITS}
          value={split}
          onChange={(next) => setQuery({ split: next })}
        />
      </div>
      {binding ? (
        <Measured run={run} binding={binding} />
      ) : (
        <Empty title={isOver(run.status) ? 'Nothing was measured' : 'Not measured yet'}>
          <p>
            {isOver(run.status)
              ? 'The run ended before its slots were measured.'
              : 'These prompts are measured when the run has ended; validation prompts are looked at on the way.'}
          </p>
        </Empty>
      )}
      {run.kind === 'ALIGNMENT' && <BindingTraining id={run.id} ended={again} />}
      {opened !== null && run.kind === 'ALIGNMENT' && (
        <SlotDrawer run={run.id} concept={opened} close={() => setQuery({ slot: null })} />
      )}
    </>
  );
}

function Measured({
  run,
  binding,
}: {
  run: { id: string; dataset: { id: string } };
  binding: BindingMeasuresFragment;
}) {
  const counts = useCounts(run.dataset.id, binding);
  const isTable = useSignal(false);
  const names = binding.concepts.map(({ label }) => label);
  const cell = (i: number, j: number) => {
    const value = binding.matrix[i]![j]!;
    const n = counts?.[i];
    if (!n) return share(value);
    return rateText({ value, trials: n, interval: wilson(Math.round(value * n), n) });
  };
  return (
    <div class="beside">
      <div>
        <Matrix
          title="Binding matrix"
          rowsAre="Prompts about"
          columnsAre="strongest slot"
          rows={names}
          columns={names}
          values={binding.matrix}
          describe={(i, j) =>
            `Of the prompts about ${names[i]}, the strongest slot is that of ${names[j]} in ${cell(i, j)}.`
          }
          onOpen={(_row, column) => setQuery({ slot: binding.concepts[column]!.key }, 'push')}
        />
        <button
          type="button"
          class="link"
          aria-expanded={isTable.value}
          onClick={() => (isTable.value = !isTable.value)}
        >
          {isTable.value ? 'Hide the table' : 'Show as table with intervals'}
        </button>
        {isTable.value && <PairTable names={names} binding={binding} cell={cell} />}
      </div>
      <Summary binding={binding} />
    </div>
  );
}

/** How many prompts ask about each concept; null until known, and where the run did not measure on all of them. */
function useCounts(dataset: string, { concepts, split, examples }: BindingMeasuresFragment): number[] | null {
  const counts = useSignal<number[] | null>(null);
  useEffect(() => {
    counts.value = null;
    const abort = new AbortController();
    const ask = concepts.map(({ id }) =>
      request(ConceptExamples, { dataset, concept: id, split }, { signal: abort.signal }),
    );
    Promise.all(ask).then(
      (answers) => {
        const found = answers.map(({ node }) => (node && 'examples' in node ? node.examples.totalCount : 0));
        if (found.reduce((sum, n) => sum + n, 0) === examples) counts.value = found;
      },
      () => undefined,
    );
    return () => abort.abort();
  }, [dataset, split]);
  return counts.value;
}

function Summary({ binding }: { binding: BindingMeasuresFragment }) {
  const rows: [string, string, string][] = [
    ['Top 3', share(binding.top3), 'Share of prompts whose concept’s slot is among the three strongest'],
    ['Top 5', share(binding.top5), 'Share of prompts whose concept’s slot is among the five strongest'],
    [
      'Diagonal accuracy',
      share(binding.diagonalAccuracy),
      'Best one-to-one matching of slots to concepts, as a share of the matrix',
    ],
    ['Diagonal strength', share(binding.diagonalStrength), 'Mean of the row-normalised diagonal'],
    [
      'Value accuracy',
      share(binding.valueAccuracy),
      'Share of prompts whose answer’s first token the slot’s value head names',
    ],
  ];
  return (
    <section aria-label="Measures">
      <p class="big">
        <Rate rate={binding.rate} />
      </p>
      <p class="quiet">
        of prompts have their own concept’s slot as the strongest; chance is{' '}
        {share(1 / binding.concepts.length)}.
      </p>
      <dl class="facts">
        {rows.map(([name, value, title]) => (
          <div key={name} title={title}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
        <div>
          <dt>Prompts</dt>
          <dd>{binding.examples}</dd>
        </div>
      </dl>
      <p class="quiet">A cell opens its slot.</p>
    </section>
  );
}

function PairTable({
  names,
  binding,
  cell,
}: {
  names: string[];
  binding: BindingMeasuresFragment;
  cell(i: number, j: number): string;
}) {
  const pairs = names.flatMap((_, i) => names.map((_, j) => [i, j] as const));
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">Prompts about</th>
          <th scope="col">Strongest slot</th>
          <th scope="col">Share [95% interval]</th>
        </tr>
      </thead>
      <tbody>
        {pairs
          .filter(([i, j]) => i === j || binding.matrix[i]![j]! > 0)
          .map(([i, j]) => (
            <tr key={`${i},${j}`}>
              <th scope="row">{names[i]}</th>
              <td>{names[j]}</td>
              <td class="figure">{cell(i, j)}</td>
            </tr>
          ))}
      </tbody>
    </table>
  );
}
