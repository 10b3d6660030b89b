/** The views of one run, by its kind. */
import type { RunKind } from '../api/documents.ts';
import { path } from '../router.ts';

const VIEWS: Partial<Record<RunKind, [string, string][]>> = {
  ALIGNMENT: [
    ['binding', 'Binding'],
    ['swap', 'Swap'],
    ['latents', 'Latents'],
    ['prompt', 'Prompt'],
  ],
  ALIGNMENT_SWEEP: [['layers', 'Layers']],
  GROKKING: [['film', 'Film']],
  BASELINE: [
    ['binding', 'Binding'],
    ['latents', 'Latents'],
    ['prompt', 'Prompt'],
  ],
};

export function RunTabs({ id, kind }: { id: string; kind: RunKind }) {
  const base = `/app/runs/${encodeURIComponent(id)}`;
  const views: [string, string][] = [['', 'Run'], ...(VIEWS[kind] ?? [])];
  if (views.length === 1) return null;
  const current = path.value.split('/')[2] ?? '';
  return (
    <nav class="tabs" aria-label="Views of this run">
      {views.map(([name, label]) => (
        <a
          key={name}
          href={name ? `${base}/${name}` : base}
          aria-current={current === name ? 'page' : undefined}
        >
          {label}
        </a>
      ))}
    </nav>
  );
}
