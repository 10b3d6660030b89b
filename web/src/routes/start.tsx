/** The main job in three buttons, each an ordinary mutation: data, a language model that knows it, slots in the model. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import {
  GenerateDataset,
  type RunRowFragment,
  StartAlignmentRun,
  Start as StartDocument,
  StartModelRun,
} from '../api/documents.ts';
import { request } from '../api/graphql.ts';
import { duration } from '../format.ts';
import { isOver, Progress } from '../parts/run.tsx';
import { navigate } from '../router.ts';
import { useQuery } from '../state/query.ts';

interface StepProps {
  number: number;
  title: string;
  what: string;
  action: string;
  /** What there is already; null where it is still to be made. */
  done: string | null;
  /** Why it cannot be done yet; null when it can. */
  waits: string | null;
  /** @returns why it was refused; nothing when it was done. */
  act(): Promise<string | undefined>;
  run?: RunRowFragment | undefined;
}

export function StartSteps({ runs, changed }: { runs: readonly RunRowFragment[]; changed(): void }) {
  const { data, again } = useQuery(StartDocument, {});
  const finished = runs.filter(({ status }) => isOver(status)).length;
  useEffect(() => void again(), [finished]);
  if (!data) return null;
  const dataset = data.datasets.edges[0]?.node;
  const model = data.models.edges.find(({ node }) => node.dataset?.kind === 'BIOGRAPHY')?.node;
  const training = runs.find(({ kind, status }) => kind === 'MODEL' && !isOver(status));
  const steps: StepProps[] = [
    {
      number: 1,
      title: 'Data',
      what: 'Biographies of 100 invented people, and questions about them',
      action: 'Generate data',
      done: dataset?.name ?? null,
      waits: null,
      async act() {
        const { generateDataset } = await request(GenerateDataset, { input: {} });
        await again();
        return 'message' in generateDataset ? generateDataset.message : undefined;
      },
    },
    {
      number: 2,
      title: 'Model',
      what: 'A small language model that learns these facts, in a minute or two',
      action: 'Train a model',
      done: model?.name ?? null,
      waits: dataset ? null : 'needs data',
      run: training,
      async act() {
        const { startModelRun } = await request(StartModelRun, { input: { datasetId: dataset!.id } });
        changed();
        return 'message' in startModelRun ? startModelRun.message : undefined;
      },
    },
    {
      number: 3,
      title: 'Align',
      what: 'An SAE with one slot for each concept; its curves, then its binding matrix and swaps',
      action: 'Align it',
      done: null,
      waits: model ? null : training ? 'waits for the model' : 'needs a model',
      async act() {
        const input = { modelId: model!.id, settings: { preset: 'COUNTERFACTUAL' as const } };
        const { startAlignmentRun: reply } = await request(StartAlignmentRun, { input });
        if ('message' in reply) return reply.message;
        navigate(`/app/runs/${encodeURIComponent(reply.run.id)}`);
      },
    },
  ];
  return (
    <ol class="steps">
      {steps.map((step) => (
        <Step key={step.number} {...step} />
      ))}
    </ol>
  );
}

function Step({ number, title, what, action, done, waits, act, run }: StepProps) {
  const isBusy = useSignal(false);
  const fault = useSignal('');
  const press = async () => {
    isBusy.value = true;
    try {
      fault.value = (await act()) ?? '';
    } catch (error) {
      fault.value = (error as Error).message;
    }
    isBusy.value = false;
  };
  return (
    <li>
      <strong>
        {number} {title} {done && <span class="status succeeded">✓ {done}</span>}
      </strong>
      <p class="quiet">{what}</p>
      {run ? (
        <a href={`/app/runs/${encodeURIComponent(run.id)}`}>
          <Progress value={run.progress} label="Progress of the training" /> {Math.floor(run.progress * 100)}%
          {run.etaSeconds !== null && `, ${duration(run.etaSeconds)} left`}
        </a>
      ) : (
        <button
          type="button"
          class={done || waits ? '' : 'primary'}
          disabled={isBusy.value || waits !== null}
          onClick={press}
        >
          {isBusy.value ? 'Working…' : done ? `${action} again` : action}
        </button>
      )}
      {waits && <span class="quiet"> {waits}</span>}
      {fault.value && (
        <p class="fault" role="alert">
          {fault.value}
        </p>
      )}
    </li>
  );
}
