/** The binding matrix along the training of an alignment: each look at the validation prompts, also while it runs. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import {
  type BindingLookQuery,
  type BindingTrainingQuery,
  BindingLook as LookDocument,
  RunEvents,
  BindingTraining as TrainingDocument,
} from '../api/documents.ts';
import { follow } from '../api/live.ts';
import { RateCurves } from '../charts/curve.tsx';
import { Matrix } from '../charts/matrix.tsx';
import { share } from '../format.ts';
import { Rate } from '../parts/rate.tsx';
import { isOver } from '../parts/run.tsx';
import { Scrubber } from '../parts/scrubber.tsx';
import { Failed, Loading } from '../parts/states.tsx';
import { query, setQuery } from '../router.ts';
import { useQuery } from '../state/query.ts';
import { wilson } from '../stats.ts';

type Training = Extract<NonNullable<BindingTrainingQuery['run']>, { bindingSteps: unknown }>;
type Look = NonNullable<
  Extract<NonNullable<BindingLookQuery['run']>, { bindingLook: unknown }>['bindingLook']
>;
interface Point {
  step: number;
  value: number | null;
}

/** The metric that is stored with each look. */
const BINDING = 'validation/binding';

/** `ended` is told when a run that was watched has ended: what it comes to is measured then. */
export function BindingTraining({ id, ended }: { id: string; ended(): void }) {
  const { data, error, again } = useQuery(TrainingDocument, { id });
  const run = data?.run && 'bindingSteps' in data.run ? data.run : null;
  const points = useLivePoints(run, ended);
  if (!data)
    return error ? <Failed message={error.message} again={again} /> : <Loading what="Loading its training" />;
  if (!run || (points.length === 0 && isOver(run.status))) return null;
  return (
    <section>
      <h2>Through its training</h2>
      {points.length === 0 ? (
        <p class="quiet pad">
          The slots are looked at when post-training begins; the matrix appears here then, and moves.
        </p>
      ) : (
        <Reel run={run} points={points} />
      )}
    </section>
  );
}

/** One a look: those of the query, and those that come behind it. */
function useLivePoints(run: Training | null, ended: () => void): Point[] {
  const more = useSignal<Point[]>([]);
  useEffect(() => {
    more.value = [];
    if (!run || isOver(run.status)) return;
    return follow({
      document: RunEvents,
      variables: { id: run.id, after: run.cursor },
      next({ runEvents: { event } }) {
        if (event.__typename !== 'MetricsLogged') return;
        const value = event.metrics.find(({ name }) => name === BINDING)?.value;
        if (value !== undefined) more.value = [...more.peek(), { step: event.step, value }];
      },
      end: ended,
    });
  }, [run?.id, run?.status]);
  if (!run) return [];
  // Steps that a resumed run has taken anew are told again.
  const told = new Map<number, Point>(run.bindingSteps.map((step) => [step, { step, value: null }]));
  for (const point of [...(run.metrics[0]?.points ?? []), ...more.value]) told.set(point.step, point);
  return [...told.values()].sort((a, b) => a.step - b.step);
}

function Reel({ run, points }: { run: Training; points: Point[] }) {
  const wanted = Number(query.value.get('step') ?? Number.NaN);
  const found = points.findIndex(({ step }) => step === wanted);
  const at = found === -1 ? points.length - 1 : found;
  const { step } = points[at]!;
  const { data, error, again } = useQuery(LookDocument, { id: run.id, step });
  const look = data?.run && 'bindingLook' in data.run ? data.run.bindingLook : null;
  // The last is the place of who follows: the address names none, and what comes next is shown.
  const show = (i: number) => setQuery({ step: i === points.length - 1 ? null : String(points[i]!.step) });
  return (
    <>
      <Scrubber
        label="Look at the slots"
        steps={points.map((point) => point.step)}
        at={at}
        until={run.settings.pretrain.steps + run.settings.posttrain.steps}
        isReady={look?.step === step}
        show={show}
      />
      {error && <Failed message={error.message} again={again} />}
      {!look && !error && <Loading />}
      {look && <Frame look={look} points={points} isStale={look.step !== step} />}
    </>
  );
}

function Frame({ look, points, isStale }: { look: Look; points: Point[]; isStale: boolean }) {
  const names = look.concepts.map(({ label }) => label);
  const { trials } = look.rate;
  const curve = points.flatMap(({ step, value }) => {
    if (value === null) return [];
    return [{ x: step, rate: { value, trials, interval: wilson(Math.round(value * trials), trials) } }];
  });
  return (
    <div class={`beside${isStale ? ' stale' : ''}`} aria-busy={isStale}>
      <Matrix
        title={`Binding at step ${look.step}`}
        rowsAre="Prompts about"
        columnsAre="strongest slot"
        rows={names}
        columns={names}
        values={look.matrix}
        isDense={names.length > 12}
        describe={(i, j) =>
          `At step ${look.step}: of the validation prompts about ${names[i]}, the strongest slot is that of ${names[j]} in ${share(look.matrix[i]![j])}.`
        }
      />
      <div>
        <p class="big">
          <Rate rate={look.rate} />
        </p>
        <p class="quiet">
          of the validation prompts by which the best weights are chosen have their own concept’s slot as the
          strongest.
        </p>
        <RateCurves
          title="The same over the steps, with 95% intervals"
          xLabel="step"
          yLabel="bound"
          curves={[{ label: 'Validation prompts', points: curve }]}
          at={look.step}
        />
      </div>
    </div>
  );
}
