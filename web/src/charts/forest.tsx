/** Measures of several runs under one another, each share with its interval drawn beside its number. */
import { number } from '../format.ts';
import { Rate, type RateLike, rateText } from '../parts/rate.tsx';
import { Scroll } from '../parts/scroll.tsx';
import { SERIES_COLORS } from './colors.ts';

export interface ForestRow {
  label: string;
  /** Run by run; null where it was not measured. */
  values: readonly ({ value: number | null; rate: RateLike | null; alpha: number | null } | null)[];
}

const [WIDTH, ROW] = [150, 14];

export function Forest({ names, rows }: { names: readonly string[]; rows: readonly ForestRow[] }) {
  return (
    <Scroll label="Measures">
      <table class="forest">
        <thead>
          <tr>
            <th scope="col">Measure</th>
            <th scope="col">0 to 1</th>
            {names.map((name) => (
              <th scope="col" key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ label, values }) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              <td>{values.some((value) => value?.rate) && <Intervals values={values} names={names} />}</td>
              {values.map((value, i) => (
                <td key={names[i]} class="figure">
                  {value === null ? (
                    <span class="quiet">–</span>
                  ) : value.rate ? (
                    <Rate rate={value.rate} />
                  ) : (
                    number(value.value)
                  )}
                  {value?.alpha != null && <small class="quiet"> α {number(value.alpha)}</small>}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Intervals({ values, names }: { values: ForestRow['values']; names: readonly string[] }) {
  const place = (x: number) => 4 + x * (WIDTH - 8);
  const text = values
    .flatMap((value, i) => (value?.rate ? [`${names[i]}: ${rateText(value.rate)}`] : []))
    .join('; ');
  return (
    <svg width={WIDTH} height={values.length * ROW} role="img" aria-label={text}>
      <line class="grid" x1={place(0)} x2={place(0)} y1="0" y2={values.length * ROW} />
      <line class="grid" x1={place(1)} x2={place(1)} y1="0" y2={values.length * ROW} />
      {values.map((value, i) => {
        const interval = value?.rate?.interval;
        if (!interval || value?.rate?.value == null) return null;
        const y = i * ROW + ROW / 2;
        return (
          <g key={names[i]} style={{ color: `var(${SERIES_COLORS[i % SERIES_COLORS.length]})` }}>
            <line class="whisker" x1={place(interval.low)} x2={place(interval.high)} y1={y} y2={y} />
            <circle class="dot" cx={place(value.rate.value)} cy={y} r="3" />
          </g>
        );
      })}
    </svg>
  );
}
