/** A grokking run as a film: what the model knows and where its relations are bound, checkpoint by checkpoint. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import {
  Film as FilmDocument,
  type FilmPointFragment,
  FilmPoints,
  type FilmQuery,
} from '../api/documents.ts';
import { follow } from '../api/live.ts';
import { RateCurves } from '../charts/curve.tsx';
import { Matrix } from '../charts/matrix.tsx';
import { number, share } from '../format.ts';
import { Facts } from '../parts/facts.tsx';
import { Rate } from '../parts/rate.tsx';
import { isOver } from '../parts/run.tsx';
import { RunFrame } from '../parts/runFrame.tsx';
import { Scrubber } from '../parts/scrubber.tsx';
import { Empty, Failed, Waiting } from '../parts/states.tsx';
import { query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';

type Grokking = Extract<NonNullable<FilmQuery['run']>, { points: unknown }>;

export function Film({ id }: { id: string }) {
  const { data, error, again } = useQuery(FilmDocument, { id });
  if (!data) return <Waiting what="Loading the film" error={error} again={again} />;
  const { run } = data;
  if (!run) return <Failed isWhole title="There is no such run" message="It may have been deleted." />;
  return (
    <RunFrame what="Film of" run={run}>
      {'points' in run ? <Reel run={run} again={again} /> : <Empty title="This run follows no grokking" />}
    </RunFrame>
  );
}

/** Points of the query, and those that come. */
function useLivePoints(run: Grokking, again: () => Promise<void>): FilmPointFragment[] {
  const more = useSignal<FilmPointFragment[]>([]);
  useEffect(() => {
    more.value = [];
    if (isOver(run.status)) return;
    return follow({
      document: FilmPoints,
      variables: { id: run.id, after: run.cursor },
      next({ grokking: { point } }) {
        more.value = [...more.peek(), point];
      },
      end: () => void again(),
    });
  }, [run.id, run.status]);
  return [
    ...run.points,
    ...more.value.filter(({ step }) => !run.points.some((point) => point.step === step)),
  ];
}

function Reel({ run, again }: { run: Grokking; again(): Promise<void> }) {
  const points = useLivePoints(run, again);
  const wanted = query.value.get('step');
  const found = points.findIndex(({ step }) => String(step) === wanted);
  const at = found === -1 ? points.length - 1 : found;
  const show = (i: number) => setQuery({ step: String(points[i]!.step) });
  if (points.length === 0)
    return (
      <Empty title={isOver(run.status) ? 'No checkpoint was measured' : 'No checkpoint is measured yet'}>
        <p>{run.steps.length} checkpoints are planned; each appears here when it has been measured.</p>
      </Empty>
    );
  const point = points[at]!;
  return (
    <>
      <Scrubber
        label="Checkpoint"
        steps={points.map(({ step }) => step)}
        at={at}
        until={run.steps.at(-1)!}
        show={show}
      />
      <div class="halves">
        <Accuracy points={points} at={point.step} onset={run.onset} />
        <Facts
          of={[
            ['Train questions', <Rate key="t" rate={point.train} />],
            ['Held-out questions', <Rate key="h" rate={point.heldOut} />],
            ['One hop', point.oneHop ? <Rate key="o" rate={point.oneHop} /> : '–'],
            ['Logit margin', number(point.logitMargin)],
            ['Weight norm', number(point.weightNorm)],
            ['Memorized at', run.onset.memorization ?? '–'],
            ['Generalized at', run.onset.generalization ?? '–'],
            ['Bound at', run.onset.binding ?? '–'],
          ]}
        />
      </div>
      <div class="halves">
        {point.binding.map((binding) => (
          <Hop
            key={binding.hop}
            binding={binding}
            names={run.dataset.ontology.concepts.map(({ label }) => label)}
          />
        ))}
      </div>
    </>
  );
}

function Accuracy({
  points,
  at,
  onset,
}: {
  points: FilmPointFragment[];
  at: number;
  onset: Grokking['onset'];
}) {
  const curve = (label: string, of: (point: FilmPointFragment) => FilmPointFragment['oneHop']) => ({
    label,
    points: points.flatMap((point) => {
      const rate = of(point);
      return rate ? [{ x: point.step, rate }] : [];
    }),
  });
  const bound = (hop: number) =>
    curve(`Bound at hop ${hop}`, ({ binding }) => binding.find((each) => each.hop === hop)?.top1Rate ?? null);
  return (
    <RateCurves
      title="Accuracy and binding along the training, with 95% intervals"
      xLabel="step"
      yLabel="share"
      isLogX
      at={at}
      marks={[
        { x: onset.memorization, label: 'memorized' },
        { x: onset.generalization, label: 'generalized' },
        { x: onset.binding, label: 'bound' },
      ]}
      curves={[
        curve('Train', ({ train }) => train),
        curve('Held out', ({ heldOut }) => heldOut),
        bound(1),
        bound(2),
      ].filter((each) => each.points.length > 0)}
    />
  );
}

function Hop({ binding, names }: { binding: FilmPointFragment['binding'][number]; names: string[] }) {
  const cosines = binding.slotCosines;
  return (
    <section>
      <h2>Hop {binding.hop}</h2>
      <p class="quiet">
        Diagonal strength {share(binding.diagonalStrength)}; with its slots off, held-out accuracy{' '}
        {(binding.ablationEffect ?? 0) < 0 ? 'rises' : 'falls'} by{' '}
        {share(Math.abs(binding.ablationEffect ?? 0))}
      </p>
      <Matrix
        title={`Binding at hop ${binding.hop}`}
        rowsAre="Relation"
        columnsAre="strongest slot"
        rows={names}
        columns={names}
        values={binding.matrix}
        isDense={names.length > 12}
        describe={(i, j) =>
          `Of the questions about ${names[i]}, the strongest slot is that of ${names[j]} in ${share(binding.matrix[i]![j])}.${
            cosines && i === j
              ? ` Its direction has cosine ${share(cosines[i])} with that of the last checkpoint.`
              : ''
          }`
        }
      />
    </section>
  );
}
