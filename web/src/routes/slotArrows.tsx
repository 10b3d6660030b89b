/** Each slot at the edited token: what it was, and by an arrow what the edit makes of it. */
import { number } from '../format.ts';
import type { Swap } from './swap.tsx';

interface Slot {
  key: string;
  label: string;
  before: number;
}

const [NAME, WIDTH, ROW] = [120, 440, 22];

export function SlotArrows({ slots, swap }: { slots: readonly Slot[]; swap: Swap }) {
  // What the method does to latents; the others add directions and leave latents to themselves.
  const isLatent = swap.method === 'LATENT_DECODE' || swap.method === 'LATENT_DELTA';
  const afterOf = (key: string) =>
    !isLatent ? null : key === swap.target ? swap.alpha : key === swap.source ? 0 : null;
  const top = Math.max(1, ...slots.map(({ before, key }) => Math.max(before, afterOf(key) ?? 0)));
  const place = (value: number) => NAME + (value / top) * (WIDTH - NAME - 60);
  const text = slots
    .map(({ key, label, before }) => {
      const after = afterOf(key);
      return `${label} ${number(before)}${after === null ? '' : `, set to ${number(after)}`}`;
    })
    .join('; ');
  return (
    <figure class="arrows">
      <figcaption>Slots at the last prompt token</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${slots.length * ROW}`} role="img" aria-label={`Slots: ${text}`}>
        <defs>
          <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
            <path d="M0,0 L8,4 L0,8 z" class="tip" />
          </marker>
        </defs>
        {slots.map(({ key, label, before }, i) => {
          const y = i * ROW + ROW / 2;
          const after = afterOf(key);
          return (
            <g key={key}>
              <text class="tick" x={NAME - 8} y={y + 4} text-anchor="end">
                {label}
              </text>
              <line class="grid" x1={NAME} x2={WIDTH - 60} y1={y} y2={y} />
              <rect class="value" x={NAME} y={y - 5} width={Math.max(0, place(before) - NAME)} height={10} />
              {after !== null && after !== before && (
                <line
                  class="edit"
                  x1={place(before)}
                  x2={place(after)}
                  y1={y}
                  y2={y}
                  marker-end="url(#tip)"
                />
              )}
              <text class="tick" x={WIDTH - 54} y={y + 4}>
                {number(before, 2)}
                {after !== null && ` → ${number(after, 2)}`}
              </text>
            </g>
          );
        })}
      </svg>
    </figure>
  );
}
