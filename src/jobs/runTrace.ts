/** The spans of one attempt at a run: the whole, and within it each phase that it came through. */
import { context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Run } from '../db/queries/runs.ts';
import type { Phase } from '../engine/contract/phases.ts';

export type Outcome = 'SUCCEEDED' | 'FAILED' | 'LEFT';

const tracer = () => trace.getTracer('alignsae');

export class RunTrace {
  readonly #span: Span;
  #phase: { name: Phase; span: Span } | null = null;

  constructor({ id, kind, attempt, parentId }: Run) {
    this.#span = tracer().startSpan(`run ${kind}`, {
      root: true,
      attributes: {
        'alignsae.run.id': id,
        'alignsae.run.kind': kind,
        'alignsae.run.attempt': attempt,
        'alignsae.run.parent': parentId ?? undefined,
      },
    });
  }

  /** The run is in this phase; said as often as the engine says it. */
  enter(name: Phase): void {
    if (this.#phase?.name === name) return;
    this.#phase?.span.end();
    const within = trace.setSpan(context.active(), this.#span);
    this.#phase = { name, span: tracer().startSpan(`phase ${name}`, {}, within) };
  }

  /** An engine ended unexpectedly. */
  crashed(message: string): void {
    this.#span.addEvent('engine crash', { message });
  }

  end(outcome: Outcome): void {
    this.#phase?.span.end();
    this.#span.setAttribute('alignsae.run.outcome', outcome);
    if (outcome === 'FAILED') this.#span.setStatus({ code: SpanStatusCode.ERROR });
    this.#span.end();
  }
}
