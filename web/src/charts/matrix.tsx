/** A matrix of shares as a table whose cells are coloured: read by eye, by arrow keys, by a screen reader alike. */
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { share } from '../format.ts';
import { scheme } from './colors.ts';
import { ramp } from './ramp.ts';

export interface MatrixProps {
  title: string;
  /** What a row and a column are, such as "prompts about" and "strongest slot". */
  rowsAre: string;
  columnsAre: string;
  rows: readonly string[];
  columns: readonly string[];
  /** [row][column], 0–1. */
  values: readonly (readonly (number | null)[])[];
  /** All that is known of a cell, shown below the matrix for the one pointed at. */
  describe(row: number, column: number): string;
  onOpen?(row: number, column: number): void;
  /** Numbers in the cells; without them the matrix is a small picture. */
  isDense?: boolean;
}

const MOVES: Record<string, [number, number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export function Matrix(props: MatrixProps) {
  const { title, rows, columns, values, describe, onOpen, isDense } = props;
  const place = useSignal<[number, number]>([0, 0]);
  const isTouched = useSignal(false);
  const table = useRef<HTMLTableElement>(null);
  scheme.value;
  const move = (event: KeyboardEvent) => {
    const step = MOVES[event.key];
    const [row, column] = place.peek();
    if (event.key === 'Enter' || event.key === ' ') onOpen?.(row, column);
    else if (!step) return;
    event.preventDefault();
    if (!step) return;
    const next: [number, number] = [
      Math.min(rows.length - 1, Math.max(0, row + step[0])),
      Math.min(columns.length - 1, Math.max(0, column + step[1])),
    ];
    point(next);
    table.current?.querySelector<HTMLElement>(`[data-cell="${next.join()}"]`)?.focus();
  };
  const point = (cell: [number, number]) => {
    place.value = cell;
    isTouched.value = true;
  };
  const [row, column] = place.value;
  return (
    <figure class={`matrix${isDense ? ' dense' : ''}`}>
      <div class="scroll">
        {/* biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: a grid is walked by arrow keys */}
        <table ref={table} role="grid" aria-label={title} onKeyDown={move}>
          <thead>
            <tr>
              <th scope="col">
                <span class="axis">
                  {props.rowsAre} ↓ {props.columnsAre} →
                </span>
              </th>
              {columns.map((name) => (
                <th key={name} scope="col" title={name}>
                  <span>{name}</span>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((name, i) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {columns.map((other, j) => (
                  <td
                    key={other}
                    data-cell={`${i},${j}`}
                    tabIndex={row === i && column === j ? 0 : -1}
                    class={i === j ? 'diagonal' : ''}
                    style={ramp(values[i]![j] ?? 0)}
                    aria-label={`${name}, ${other}: ${share(values[i]![j])}`}
                    onMouseEnter={() => point([i, j])}
                    onFocus={() => point([i, j])}
                    onClick={() => onOpen?.(i, j)}
                    onKeyDown={() => undefined}
                  >
                    {isDense ? '' : share(values[i]![j])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > 0 && (
        <figcaption aria-live="polite">
          {isTouched.value ? describe(row, column) : 'Point at a cell, or walk with the arrow keys.'}
        </figcaption>
      )}
    </figure>
  );
}
