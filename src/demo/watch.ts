/** Follows a run over graphql-ws and draws its progress until it has ended. */
import { type ApiClient, success } from './client.ts';
import { RUN_EVENTS } from './operations.ts';
import { progressBar } from './terminal.ts';

interface RunEvent {
  runEvents: {
    event:
      | {
          __typename: 'RunStatusChanged';
          status: string;
          phase: string;
          progress: number;
          etaSeconds: number | null;
        }
      | { __typename: 'MetricsLogged'; step: number; metrics: { name: string; value: number }[] }
      | { __typename: 'RunLogged'; level: string; message: string };
  };
}

type StartReply = Record<string, { __typename: string; run?: { id: string } }>;

/** Starts a run by a mutation, shows it live, and returns its id. @throws Error when it did not succeed. */
export async function runAndWatch(
  api: ApiClient,
  label: string,
  mutation: string,
  input: Record<string, unknown>,
): Promise<string> {
  const reply = await api.request<StartReply>(mutation, { input });
  const id = (success(Object.values(reply)[0]!) as { run: { id: string } }).run.id;
  const bar = progressBar(label);
  const started = performance.now();
  const state = {
    phase: 'queued',
    progress: 0,
    loss: null as number | null,
    etaSeconds: null as number | null,
  };
  let status = 'QUEUED';
  for await (const { runEvents } of api.subscribe<RunEvent>(RUN_EVENTS, { id })) {
    const { event } = runEvents;
    if (event.__typename === 'RunStatusChanged') {
      status = event.status;
      Object.assign(state, { phase: event.phase, progress: event.progress, etaSeconds: event.etaSeconds });
    } else if (event.__typename === 'MetricsLogged') {
      state.loss = event.metrics.find((m) => m.name === 'loss')?.value ?? state.loss;
    }
    bar.update(state);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  bar.finish(
    `${status.toLowerCase()} in ${seconds} s${state.loss === null ? '' : `, loss ${state.loss.toFixed(4)}`}`,
  );
  return id;
}
