/** Measured shares over something that was varied: points with their intervals as a band, drawn as SVG. */
import { number, share } from '../format.ts';
import { Figure } from '../parts/figure.tsx';
import { type RateLike, rateText } from '../parts/rate.tsx';
import { isNarrow, SERIES_COLORS } from './colors.ts';

export interface RateCurve {
  label: string;
  points: readonly { x: number; rate: RateLike }[];
}

export interface RateCurvesProps {
  title: string;
  xLabel: string;
  yLabel: string;
  curves: readonly RateCurve[];
  /** Where one stands, as a vertical line. */
  at?: number | null;
  onPick?(x: number): void;
  isLogX?: boolean;
  /** Vertical lines with names. */
  marks?: readonly { x: number | null; label: string }[];
}

const [HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [200, 34, 32, 8, 8];
/** Shapes beside colours, so that neither must be told apart alone. */
const DASHES = ['', '5 3', '2 2', '7 2 2 2'];

export function RateCurves({ title, xLabel, yLabel, curves, at, onPick, isLogX, marks }: RateCurvesProps) {
  const width = isNarrow.value ? 340 : 480;
  const xs = [...new Set(curves.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  if (xs.length === 0) return null;
  // From a step 0 on, steps are counted from 1: it must have a place, but not half of the axis.
  const shift = (xs[0] ?? 0) > 0 ? 0 : 1;
  const warp = (x: number) => (isLogX ? Math.log(x + shift) : x);
  const [low, high] = [warp(xs[0]!), warp(xs.at(-1)!)];
  const place = (x: number) => LEFT + ((warp(x) - low) / (high - low || 1)) * (width - LEFT - RIGHT - 16) + 8;
  const level = (y: number) => TOP + (1 - y) * (HEIGHT - TOP - BOTTOM);
  return (
    <Figure
      kind="rates"
      title={title}
      head={[xLabel, ...curves.map(({ label }) => label)]}
      rows={() =>
        xs.map((x) => [
          number(x),
          ...curves.map(({ points }) => {
            const rate = points.find((point) => point.x === x)?.rate;
            return rate ? rateText(rate) : '–';
          }),
        ])
      }
    >
      <svg
        viewBox={`0 0 ${width} ${HEIGHT}`}
        role="img"
        aria-label={`${title}. ${curves.map(summary).join(' ')}`}
      >
        {[0, 0.25, 0.5, 0.75, 1].map((y) => (
          <g key={y}>
            <line class="grid" x1={LEFT} x2={width - RIGHT} y1={level(y)} y2={level(y)} />
            <text class="tick" x={LEFT - 5} y={level(y) + 3.5} text-anchor="end">
              {share(y)}
            </text>
          </g>
        ))}
        {ticksOf(xs, place).map((x) => (
          <text class="tick" key={x} x={place(x)} y={HEIGHT - BOTTOM + 14} text-anchor="middle">
            {number(x)}
          </text>
        ))}
        <text class="tick" x={width - RIGHT} y={HEIGHT - 4} text-anchor="end">
          {xLabel}
        </text>
        <text class="tick" x={LEFT} y={HEIGHT - 4}>
          ↑ {yLabel}
        </text>
        {at != null && warp(at) >= low && warp(at) <= high && (
          <line class="here" x1={place(at)} x2={place(at)} y1={TOP} y2={HEIGHT - BOTTOM} />
        )}
        {marks?.map(({ x, label }, i) =>
          x === null ? null : (
            <g key={label}>
              <line class="mark" x1={place(x)} x2={place(x)} y1={TOP} y2={HEIGHT - BOTTOM} />
              <text class="tick" x={place(x) + 3} y={TOP + 10 + i * 12}>
                {label}
              </text>
            </g>
          ),
        )}
        {curves.map(({ label, points }, i) => {
          const known = points.filter(({ rate }) => rate.value !== null && rate.interval !== null);
          const color = `var(${SERIES_COLORS[i % SERIES_COLORS.length]})`;
          const over = known.map(({ x, rate }) => `${place(x)},${level(rate.interval!.high)}`);
          const under = known.map(({ x, rate }) => `${place(x)},${level(rate.interval!.low)}`).reverse();
          return (
            <g key={label} style={{ color }}>
              <polygon class="band" points={[...over, ...under].join(' ')} />
              <polyline
                class="mean"
                stroke-dasharray={DASHES[i % DASHES.length]}
                points={known.map(({ x, rate }) => `${place(x)},${level(rate.value!)}`).join(' ')}
              />
              {known.map(({ x, rate }) => (
                <line
                  class="whisker"
                  key={`to ${x}`}
                  x1={place(x)}
                  x2={place(x)}
                  y1={level(rate.interval!.low)}
                  y2={level(rate.interval!.high)}
                />
              ))}
              {known.map(({ x, rate }) => (
                <circle class="dot" key={x} cx={place(x)} cy={level(rate.value!)} r={3}>
                  <title>{`${label} at ${number(x)}: ${rateText(rate)}`}</title>
                </circle>
              ))}
            </g>
          );
        })}
      </svg>
      <Legend curves={curves} />
      {onPick && <Picks xs={xs} at={at ?? null} onPick={onPick} label={xLabel} />}
    </Figure>
  );
}

/** As many as have room, 30 units apart. */
function ticksOf(xs: readonly number[], place: (x: number) => number): number[] {
  let last = Number.NEGATIVE_INFINITY;
  return xs.filter((x) => {
    if (place(x) - last < 30) return false;
    last = place(x);
    return true;
  });
}

function Legend({ curves }: { curves: readonly RateCurve[] }) {
  return (
    <p class="legend">
      {curves.map(({ label }, i) => (
        <span key={label}>
          <svg
            width="22"
            height="8"
            aria-hidden="true"
            style={{ color: `var(${SERIES_COLORS[i % SERIES_COLORS.length]})` }}
          >
            <line class="mean" x1="0" x2="22" y1="4" y2="4" stroke-dasharray={DASHES[i % DASHES.length]} />
          </svg>
          {label}
        </span>
      ))}
    </p>
  );
}

function Picks({
  xs,
  at,
  label,
  onPick,
}: {
  xs: number[];
  at: number | null;
  label: string;
  onPick(x: number): void;
}) {
  return (
    <fieldset class="choice picks">
      <legend>{label}</legend>
      {xs.map((x) => (
        <button key={x} type="button" aria-pressed={x === at} onClick={() => onPick(x)}>
          {number(x)}
        </button>
      ))}
    </fieldset>
  );
}

function summary({ label, points }: RateCurve): string {
  return `${label}: ${points.map(({ x, rate }) => `${number(x)}: ${share(rate.value)}`).join(', ')}.`;
}
