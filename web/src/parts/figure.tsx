/** A figure that stands alone: its title, and the same as a table for those who would rather read it. */
import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { Scroll } from './scroll.tsx';

export function Figure({
  title,
  small,
  kind,
  head,
  rows,
  children,
}: {
  title: string;
  /** Said beside the title, in small. */
  small?: string;
  /** Its class. */
  kind: string;
  /** Names of the columns, and the cells below them; the first of a row says what it is. */
  head: readonly string[];
  rows(): (string | number)[][];
  children: ComponentChildren;
}) {
  const isTable = useSignal(false);
  return (
    <figure class={`chart ${kind}`}>
      <figcaption>
        <span>
          {title} {small && <small>{small}</small>}
        </span>
        <button
          type="button"
          class="link"
          aria-pressed={isTable.value}
          onClick={() => (isTable.value = !isTable.value)}
        >
          {isTable.value ? 'Figure' : 'Table'}
        </button>
      </figcaption>
      {isTable.value ? <Table title={title} head={head} rows={rows()} /> : children}
    </figure>
  );
}

function Table({
  title,
  head,
  rows,
}: {
  title: string;
  head: readonly string[];
  rows: (string | number)[][];
}) {
  return (
    <Scroll label={`${title} as a table`}>
      <table>
        <thead>
          <tr>
            {head.map((name) => (
              <th scope="col" key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, ...cells]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {cells.map((cell, i) => (
                <td class="figure" key={head[i + 1]}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
