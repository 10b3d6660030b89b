/** A share as the paper gives it: the value, its interval, how many trials. */
import { share } from '../format.ts';

export interface RateLike {
  value: number | null;
  trials: number;
  interval: { low: number; high: number } | null;
}

export function rateText({ value, trials, interval }: RateLike): string {
  if (value === null || interval === null) return 'not measured';
  return `${share(value)} [${share(interval.low)}, ${share(interval.high)}], n = ${trials}`;
}

export function Rate({ rate }: { rate: RateLike }) {
  if (rate.value === null || rate.interval === null) return <span class="quiet">–</span>;
  return (
    <span class="rate" title={rateText(rate)}>
      <b>{share(rate.value)}</b>{' '}
      <small class="quiet">
        [{share(rate.interval.low)}, {share(rate.interval.high)}] n {rate.trials}
      </small>
    </span>
  );
}
