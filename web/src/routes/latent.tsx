/** One latent: how it fires, on what, and what it writes. */
import { type LatentDetailFragment, Latent as LatentDocument } from '../api/documents.ts';
import { ramp } from '../charts/ramp.ts';
import { number, share } from '../format.ts';
import { Facts } from '../parts/facts.tsx';
import { Figure } from '../parts/figure.tsx';
import { Rate, rateText } from '../parts/rate.tsx';
import { Progress } from '../parts/run.tsx';
import { RunFrame } from '../parts/runFrame.tsx';
import { Empty, Failed, Waiting } from '../parts/states.tsx';
import { useQuery } from '../state/query.ts';
import { bestOf } from './latents.tsx';

export function Latent({ id, index }: { id: string; index: string }) {
  const { data, error, again } = useQuery(LatentDocument, { id, index: Number(index) });
  if (!data) return <Waiting what="Measuring the latent" error={error} again={again} />;
  const { run } = data;
  if (!run) return <Failed isWhole title="There is no such run" message="It may have been deleted." />;
  const latent = 'latent' in run ? run.latent : null;
  const base = `/app/runs/${encodeURIComponent(run.id)}/latents`;
  return (
    <RunFrame what={`Latent ${index} of`} run={run}>
      <p>
        <a href={base}>All latents</a> · <a href={`${base}/${Math.max(0, Number(index) - 1)}`}>Previous</a> ·{' '}
        <a href={`${base}/${Number(index) + 1}`}>Next</a>
      </p>
      {latent ? (
        <Detail latent={latent} base={base} />
      ) : (
        <Empty title="This SAE has no latent of this number" />
      )}
    </RunFrame>
  );
}

function Detail({ latent, base }: { latent: LatentDetailFragment; base: string }) {
  const best = bestOf(latent);
  return (
    <>
      <div class="columns">
        <div>
          <h2>{latent.concept ? `Slot ${latent.concept.label}` : 'Free latent'}</h2>
          <Facts
            of={[
              ['Fires on', <Rate key="rate" rate={latent.firingRate} />],
              ['Mean, maximum', `${number(latent.mean)}, ${number(latent.max)}`],
              [
                'Tells best',
                best && best.value > 0 ? `${best.label}, separability ${share(best.value)}` : 'no concept',
              ],
            ]}
          />
          <Histogram bins={latent.histogram} />
        </div>
        <div>
          <h2>By concept</h2>
          <table>
            <thead>
              <tr>
                <th scope="col">Prompts about</th>
                <th scope="col">It fires on</th>
                <th scope="col" class="number">
                  Separability
                </th>
              </tr>
            </thead>
            <tbody>
              {latent.firingRateByConcept.map(({ concept, rate }) => (
                <tr key={concept.key}>
                  <th scope="row">{concept.label}</th>
                  <td title={rateText(rate)}>
                    <Progress value={rate.value ?? 0} label={`Fires on prompts about ${concept.label}`} />{' '}
                    {share(rate.value)}
                  </td>
                  <td class="number">
                    {share(latent.separability.find((s) => s.concept.key === concept.key)?.value)}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
      <div class="columns">
        <Tokens title="It raises" tokens={latent.raisedTokens} />
        <Tokens title="It lowers" tokens={latent.loweredTokens} />
        <div>
          <h2>Nearest</h2>
          <ul class="tokens">
            {latent.nearest.map(({ cosine, latent: { index, concept } }) => (
              <li key={index}>
                <a href={`${base}/${index}`}>
                  {index}
                  {concept && ` ${concept.label}`}
                </a>{' '}
                <span class="quiet">cosine {share(cosine)}</span>
              </li>
            ))}
          </ul>
        </div>
      </div>
      <h2>Strongest on</h2>
      {latent.topExamples.length === 0 && <p class="quiet">It fires on no prompt.</p>}
      <ul class={`shaded${areWords(latent.topExamples) ? ' words' : ''}`}>
        {latent.topExamples.map(({ activation, tokens }, i) => (
          <li key={i}>
            <span class="quiet figure">{number(activation)}</span>{' '}
            {tokens.map(({ text, activation: value }, j) => (
              <span key={j} class="token" style={ramp(value / (latent.max || 1))} title={number(value)}>
                {text}
              </span>
            ))}
          </li>
        ))}
      </ul>
    </>
  );
}

function Tokens({ title, tokens }: { title: string; tokens: readonly { token: string; score: number }[] }) {
  return (
    <div>
      <h2>{title}</h2>
      <ul class="tokens">
        {tokens.map(({ token, score }) => (
          <li key={token}>
            <code>{token}</code> <span class="quiet">{number(score)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Histogram({ bins }: { bins: LatentDetailFragment['histogram'] }) {
  const most = Math.max(1, ...bins.map(({ count }) => count));
  const width = 400 / bins.length;
  return (
    <Figure
      kind="histogram"
      title="Activations on the prompts"
      small="bars by square root of their number"
      head={['From', 'to', 'prompts']}
      rows={() => bins.map(({ from, to, count }) => [number(from), number(to), count])}
    >
      <svg
        viewBox="0 0 400 110"
        role="img"
        aria-label={`Histogram: ${bins.map(({ from, to, count }) => `${number(from)} to ${number(to)}: ${count}`).join('; ')}`}
      >
        {bins.map(({ from, to, count }, i) => {
          const height = Math.sqrt(count / most) * 86;
          return (
            <rect
              key={from}
              class="value"
              x={i * width}
              y={90 - height}
              width={Math.max(1, width - 1)}
              height={height}
            >
              <title>{`${number(from)} to ${number(to)}: ${count}`}</title>
            </rect>
          );
        })}
        <text class="tick" x="0" y="106">
          {number(bins[0]?.from)}
        </text>
        <text class="tick" x="400" y="106" text-anchor="end">
          {number(bins.at(-1)?.to)}
        </text>
      </svg>
    </Figure>
  );
}

/** Tokens of a word-level tokenizer come without the blanks between them. */
function areWords(examples: LatentDetailFragment['topExamples']): boolean {
  return !examples.some(({ tokens }) => tokens.some(({ text }) => /\s/.test(text)));
}
