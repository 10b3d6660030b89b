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
/** The metric that is stored with each look. */
const BINDING = 'validation/binding';

/** `ended` is told when a run that was watched has ended: what it comes to is measured then. */
export function BindingTraining({ id, ended }: { id: string; ended(): void }) {
  const { data, error, again } = useQuery(TrainingDocument, { id });
  const run = data?.run && 'bindingSteps' in data.run ? data.run : null;
  const looks = useLooks(run, ended);
  if (!data)
    return error ? <Failed message={error.message} again={again} /> : <Loading what="Loading its training" />;
  if (!run || (looks.steps.length === 0 && isOver(run.status))) return null;
  return (
    <section>
      <h2>Through its training</h2>
      {looks.steps.length === 0 ? (
        <p class="quiet pad">
          The slots are looked at when post-training begins; the matrix appears here then, and moves.
        </p>
      ) : (
        <Reel run={run} looks={looks} />
      )}
    </section>
  );
}

interface Looks {
  /** At which steps the slots were looked at, in order. */
  steps: number[];
  /** What share was bound; thinned where there are many. */
  bound: { step: number; value: number }[];
}

/** Those of the query, and those that come behind it. */
function useLooks(run: Training | null, ended: () => void): Looks {
  const more = useSignal<Looks['bound']>([]);
  useEffect(() => {
    more.value = [];
    if (!run || isOver(run.status)) return;
    return follow({
      document: RunEvents,
      variables: { id: run.id, after: run.cursor },
      next({ runEvents: { event } }) {
        if (event.__typename !== 'MetricsLogged') return;
        const value = event.metrics.find(({ name }) => name === BINDING)?.value;
        if (value != null) more.value = [...more.peek(), { step: event.step, value }];
      },
      end: ended,
    });
  }, [run?.id, run?.status]);
  if (!run) return { steps: [], bound: [] };
  const known = (run.metrics[0]?.points ?? []).flatMap(({ step, value }) =>
    value === null ? [] : [{ step, value }],
  );
  // A run that goes on from a checkpoint tells of some steps again.
  const bound = new Map([...known, ...more.value].map((point) => [point.step, point]));
  const steps = new Set([...run.bindingSteps, ...more.value.map(({ step }) => step)]);
  return {
    steps: [...steps].sort((a, b) => a - b),
    bound: [...bound.values()].sort((a, b) => a.step - b.step),
  };
}

function Reel({ run, looks: { steps, bound } }: { run: Training; looks: Looks }) {
  const wanted = Number(query.value.get('step') ?? Number.NaN);
  const found = steps.indexOf(wanted);
  const at = found === -1 ? steps.length - 1 : found;
  const step = steps[at]!;
  const { data, error, again } = useQuery(LookDocument, { id: run.id, step });
  const look = data?.run && 'bindingLook' in data.run ? data.run.bindingLook : null;
  // The last is the place of who follows: the address names none, and what comes next is shown.
  const show = (i: number) => setQuery({ step: i === steps.length - 1 ? null : String(steps[i]) });
  return (
    <>
      <Scrubber
        label="Look at the slots"
        steps={steps}
        at={at}
        until={run.settings.pretrain.steps + run.settings.posttrain.steps}
        isReady={look?.step === step}
        show={show}
      />
      {error && <Failed message={error.message} again={again} />}
      {!look && !error && <Loading />}
      {look && <Frame look={look} bound={bound} isStale={look.step !== step} />}
    </>
  );
}

function Frame({ look, bound, isStale }: { look: Look; bound: Looks['bound']; isStale: boolean }) {
  const names = look.concepts.map(({ label }) => label);
  const { trials } = look.rate;
  const curve = bound.map(({ step, value }) => {
    const interval = wilson(Math.round(value * trials), trials);
    return { x: step, rate: { value, trials, interval } };
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
