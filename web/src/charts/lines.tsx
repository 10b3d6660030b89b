/** Curves over steps: uPlot in a figure with a caption, a cursor shared with its neighbours, and the same as a table. */
import { useSignalEffect } from '@preact/signals';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { number } from '../format.ts';
import { Scroll } from '../parts/scroll.tsx';
import { color, SERIES_COLORS, scheme } from './colors.ts';

export interface Line {
  label: string;
  steps: number[];
  values: (number | null)[];
  /** Drawn beside the values, which then step back. */
  smoothed?: (number | null)[];
}

export interface LinesProps {
  title: string;
  /** What the vertical axis counts in. */
  unit?: string;
  /** Called whenever the figure is drawn: the signals that it reads decide when that is. */
  lines(): Line[];
  isLog?: boolean;
  height?: number;
  /** Charts of one key share their cursor. */
  sync?: string;
  /** Vertical lines with names, at steps. */
  marks?: readonly { step: number; label: string }[];
  /** The stretch in sight; null is all. */
  range?: readonly [number, number] | null;
  /** A stretch was chosen by dragging, or all again by a double click (null). */
  onRange?(range: [number, number] | null): void;
}

export function Lines(props: LinesProps) {
  const { title, height = 180 } = props;
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const plot = useRef<uPlot | null>(null);
  const [isTable, setTable] = useState(false);
  const id = useId();
  const [first, ...others] = props.lines();
  const isAlone = others.length === 0 && first?.label === title;
  const shape = JSON.stringify([props.isLog, height, props.sync, isTable, labelsOf(props.lines())]);

  // A new plot for another shape or other colours; within a shape only data change.
  useSignalEffect(() => {
    scheme.value;
  });
  useEffect(() => {
    if (isTable || !host.current) return;
    const made = new uPlot(
      optionsOf(latest, host.current.clientWidth, height),
      dataOf(latest.current),
      host.current,
    );
    plot.current = made;
    const resize = new ResizeObserver(([entry]) => made.setSize({ width: entry!.contentRect.width, height }));
    resize.observe(host.current);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, scheme.value]);
  useEffect(() => plot.current?.setData(dataOf(latest.current)));

  return (
    <figure class="chart" aria-labelledby={id}>
      <figcaption id={id}>
        <span>
          {title} {props.unit && <small>{props.unit}</small>}
        </span>
        <button type="button" class="link" aria-pressed={isTable} onClick={() => setTable(!isTable)}>
          {isTable ? 'Curve' : 'Table'}
        </button>
      </figcaption>
      {isTable ? (
        <PointTable title={title} lines={props.lines()} height={height} />
      ) : (
        <div
          ref={host}
          class={isAlone ? 'plot alone' : 'plot'}
          role="img"
          aria-label={`${title}: ${props.lines().map(summary).join('; ')}`}
        />
      )}
    </figure>
  );
}

function labelsOf(lines: Line[]): (string | boolean)[] {
  return lines.flatMap(({ label, smoothed }) => [label, smoothed !== undefined]);
}

/** What somebody who does not see the curve is told of it. */
function summary({ label, steps, values }: Line): string {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return `${label} has no points yet`;
  let [low, high] = [known[0]!, known[0]!];
  for (const value of known) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return `${label} goes from ${number(known[0])} to ${number(known.at(-1))} between steps ${steps[0]} and ${steps.at(-1)}, lowest ${number(low)}, highest ${number(high)}`;
}

const MOST_ROWS = 5_000;

function PointTable({ title, lines, height }: { title: string; lines: Line[]; height: number }) {
  const [steps, ...columns] = align(lines.map((line) => ({ ...line, smoothed: undefined })));
  const every = Math.ceil(steps!.length / MOST_ROWS);
  return (
    <Scroll label={`${title} as a table`} style={{ height: `${height}px` }}>
      <table>
        <thead>
          <tr>
            <th scope="col">Step</th>
            {lines.map(({ label }) => (
              <th scope="col" key={label}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {steps!.map((step, i) =>
            i % every === 0 ? (
              <tr key={step}>
                <th scope="row">{step}</th>
                {columns.map((column, j) => (
                  <td key={lines[j]!.label}>{number(column[i])}</td>
                ))}
              </tr>
            ) : null,
          )}
        </tbody>
      </table>
    </Scroll>
  );
}

type Column = (number | null | undefined)[];

/** One column of steps, and of each line its values there. */
function align(lines: Line[]): [number[], ...Column[]] {
  const tables = lines.map(
    ({ steps, values, smoothed }): uPlot.AlignedData =>
      smoothed ? [steps, values, smoothed] : [steps, values],
  );
  if (tables.length === 0) return [[]];
  return (tables.length === 1 ? tables[0] : uPlot.join(tables)) as [number[], ...Column[]];
}

function dataOf({ lines, isLog }: LinesProps): uPlot.AlignedData {
  const data = align(lines());
  // A logarithmic axis has no place for what is not above zero.
  const fit = (column: Column) =>
    isLog ? column.map((v) => (v != null && v > 0 ? v : v === undefined ? v : null)) : column;
  return [data[0], ...(data.slice(1) as Column[]).map(fit)] as uPlot.AlignedData;
}

function optionsOf(latest: { current: LinesProps }, width: number, height: number): uPlot.Options {
  const { sync, isLog } = latest.current;
  const axis = {
    stroke: color('--quiet'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
    font: '11px system-ui',
  };
  const marks = (plot: uPlot) => drawMarks(plot, latest.current.marks ?? []);
  return {
    width,
    height,
    padding: [8, 14, 0, 0],
    series: [{ label: 'Step' }, ...seriesOf(latest.current.lines())],
    scales: {
      x: {
        time: false,
        range: (_plot, low, high) => [...(latest.current.range ?? [low, high])] as [number, number],
      },
      y: isLog ? { distr: 3 } : { range: rangeOf },
    },
    axes: [
      {
        ...axis,
        size: 26,
        values: (_plot, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? number(tick) : '')),
      },
      {
        ...axis,
        size: 46,
        values: (_plot, ticks) => ticks.map((tick) => (tick === null ? '' : number(tick))),
      },
    ],
    cursor: {
      ...(sync ? { sync: { key: sync, setSeries: false } } : {}),
      drag: { x: true, y: false, setScale: false },
      points: { size: 5 },
      bind: {
        dblclick: () => () => {
          latest.current.onRange?.(null);
          return null;
        },
      },
    },
    legend: { show: true, live: true },
    hooks: {
      draw: [marks],
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select;
          if (wide < 4) return;
          latest.current.onRange?.([
            Math.floor(plot.posToVal(left, 'x')),
            Math.ceil(plot.posToVal(left + wide, 'x')),
          ]);
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** As uPlot would have it, but for a curve that stays at 0, which needs no axis up to 100. */
function rangeOf(_plot: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  if (low === 0 && high === 0) return [0, 1];
  return uPlot.rangeNum(low ?? 0, high ?? 1, 0.1, true);
}

function seriesOf(lines: Line[]): uPlot.Series[] {
  return lines.flatMap(({ label, smoothed }, i) => {
    const stroke = color(SERIES_COLORS[i % SERIES_COLORS.length]!);
    const common = { points: { show: false }, value: (_plot: uPlot, value: number | null) => number(value) };
    if (!smoothed) return [{ ...common, label, stroke, width: 1.25 }];
    return [
      { ...common, label, stroke, width: 1, alpha: 0.3 },
      { ...common, label: `${label} smoothed`, stroke, width: 1.5 },
    ];
  });
}

function drawMarks(plot: uPlot, marks: readonly { step: number; label: string }[]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = color('--quiet');
  ctx.font = `${10 * devicePixelRatio}px system-ui`;
  ctx.setLineDash([2, 3]);
  for (const { step, label } of marks) {
    const x = plot.valToPos(step, 'x', true);
    // One at the edge divides nothing.
    if (x <= bbox.left + 1 || x >= bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const isLate = x > bbox.left + bbox.width * 0.75;
    ctx.textAlign = isLate ? 'right' : 'left';
    ctx.fillText(label, x + (isLate ? -4 : 4) * devicePixelRatio, bbox.top + 9 * devicePixelRatio);
  }
  ctx.restore();
}
