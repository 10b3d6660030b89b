/** What computes, and how much there is to do. */
import { Engine } from '../api/documents.ts';
import { words } from '../format.ts';
import { useQuery } from '../state/query.ts';

export function EngineLine() {
  const { data } = useQuery(Engine, {});
  if (!data) return null;
  const { backend, tensorflowVersion, fallbackReason, devices, queue, workers } = data.engine;
  const alive = workers.filter(({ endedAt }) => endedAt === null);
  return (
    <p class="quiet engine">
      <span>
        {backend === 'WASM' ? 'wasm' : `TensorFlow ${tensorflowVersion}`} on{' '}
        {devices.map(({ name, kind }) => name || words(kind)).join(', ') || 'this machine'}
      </span>
      <span>
        {alive.length === 0
          ? 'no worker: runs wait'
          : `${alive.length} worker${alive.length === 1 ? '' : 's'}`}
      </span>
      <span>
        {queue.running} running, {queue.queued} waiting
      </span>
      {fallbackReason && <span title={fallbackReason}>slower than it could be: {fallbackReason}</span>}
    </p>
  );
}
