/** The head of every view of one run: what it is called, and the other views of it. */
import type { ComponentChildren } from 'preact';
import type { RunKind } from '../api/documents.ts';
import { nameOf } from './run.tsx';
import { RunTabs } from './tabs.tsx';

export function RunFrame({
  what,
  run,
  children,
}: {
  what: string;
  run: { id: string; kind: RunKind; name: string | null };
  children: ComponentChildren;
}) {
  return (
    <>
      <div class="title">
        <h1>
          {what} {nameOf(run)}
        </h1>
      </div>
      <RunTabs id={run.id} kind={run.kind} />
      {children}
    </>
  );
}
