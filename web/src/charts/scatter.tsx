/** Points in a plane, some of them marked by colour and shape; what they are is in the table beside it. */
import { useSignal } from '@preact/signals';
import { share } from '../format.ts';
import { isNarrow } from './colors.ts';

export interface Point {
  key: number;
  x: number;
  y: number;
  isMarked: boolean;
  label: string;
}

export interface ScatterProps {
  title: string;
  xLabel: string;
  yLabel: string;
  points: readonly Point[];
  markedAre: string;
  othersAre: string;
  onOpen(key: number): void;
}

const [HEIGHT, LEFT, TOP, BOTTOM] = [260, 36, 8, 34];
const TICKS = [0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1];

/** Both axes are shares. */
export function Scatter({ title, xLabel, yLabel, points, markedAre, othersAre, onOpen }: ScatterProps) {
  const at = useSignal<Point | null>(null);
  const width = isNarrow.value ? 360 : 760;
  // Densities crowd near zero; a root spreads them.
  const place = (x: number) => LEFT + 6 + Math.sqrt(x) * (width - LEFT - 16);
  const level = (y: number) => TOP + (1 - y) * (HEIGHT - TOP - BOTTOM);
  const find = (event: MouseEvent) => {
    const box = (event.currentTarget as SVGElement).getBoundingClientRect();
    const [x, y] = [
      ((event.clientX - box.left) / box.width) * width,
      ((event.clientY - box.top) / box.height) * HEIGHT,
    ];
    let [best, distance]: [Point | null, number] = [null, 12 ** 2];
    for (const point of points) {
      const d = (place(point.x) - x) ** 2 + (level(point.y) - y) ** 2;
      if (d < distance) [best, distance] = [point, d];
    }
    at.value = best;
  };
  const drawn = [...points].sort((a, b) => Number(a.isMarked) - Number(b.isMarked));
  return (
    <figure class="chart scatter">
      <figcaption>
        <span>{title}</span>
      </figcaption>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the table below leads to each of them by keys */}
      <svg
        viewBox={`0 0 ${width} ${HEIGHT}`}
        role="img"
        aria-label={`${title}: each is in the list below.`}
        onMouseMove={find}
        onClick={() => at.value && onOpen(at.value.key)}
      >
        {[0, 0.25, 0.5, 0.75, 1].map((y) => (
          <g key={y}>
            <line class="grid" x1={LEFT} x2={width - 4} y1={level(y)} y2={level(y)} />
            <text class="tick" x={LEFT - 5} y={level(y) + 4} text-anchor="end">
              {share(y)}
            </text>
          </g>
        ))}
        {TICKS.filter((x) => !isNarrow.value || x !== 0.01).map((x) => (
          <text
            class="tick"
            key={x}
            x={place(x)}
            y={HEIGHT - BOTTOM + 15}
            text-anchor={x === 1 ? 'end' : 'middle'}
            dx={x === 1 ? 6 : 0}
          >
            {share(x)}
          </text>
        ))}
        <text class="tick" x={width - 4} y={HEIGHT - 3} text-anchor="end">
          {xLabel}
        </text>
        <text class="tick" x={LEFT} y={isNarrow.value ? TOP + 12 : HEIGHT - 3}>
          ↑ {yLabel}
        </text>
        {drawn.map(({ key, x, y, isMarked }) =>
          isMarked ? (
            <rect key={key} class="marked" x={place(x) - 4} y={level(y) - 4} width="8" height="8" />
          ) : (
            <circle key={key} class="plain-dot" cx={place(x)} cy={level(y)} r="2.2" />
          ),
        )}
        {at.value && <circle class="ring" cx={place(at.value.x)} cy={level(at.value.y)} r="7" />}
      </svg>
      <p class="legend">
        <span>
          <b class="square" aria-hidden="true" /> {markedAre}
        </span>
        <span>
          <b class="round" aria-hidden="true" /> {othersAre}
        </span>
        <span class="quiet">{at.value?.label ?? 'Point at one; a click opens it.'}</span>
      </p>
    </figure>
  );
}
