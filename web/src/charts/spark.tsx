/** A curve as small as a word: its course, without axes, with its newest value beside it. */
import { number } from '../format.ts';

export interface SparkProps {
  /** What it is, for those who do not see it. */
  label: string;
  points: readonly { step: number; value: number | null }[];
  last: number | null;
}

const [WIDTH, HEIGHT] = [72, 18];

export function Spark({ label, points, last }: SparkProps) {
  const known = points.filter((point): point is { step: number; value: number } => point.value !== null);
  const values = known.map(({ value }) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [begin, end] = [known[0]?.step ?? 0, known.at(-1)?.step ?? 0];
  const x = (step: number) => (((step - begin) / (end - begin || 1)) * (WIDTH - 2) + 1).toFixed(1);
  const y = (value: number) => ((1 - (value - low) / (high - low || 1)) * (HEIGHT - 4) + 2).toFixed(1);
  const says = known.length > 1 ? `from ${number(values[0])} to ${number(last)}` : number(last);
  return (
    <span class="spark" title={`${label}: ${says}`}>
      {known.length > 1 && (
        <svg width={WIDTH} height={HEIGHT} role="img" aria-label={`${label} ${says}`}>
          <polyline points={known.map(({ step, value }) => `${x(step)},${y(value)}`).join(' ')} />
        </svg>
      )}
      <span class="figure">{number(last)}</span>
    </span>
  );
}
