/** What every resolver is given. */
import type { Scope } from '../services/apiKey.ts';
import type { EngineWork } from '../services/engine.ts';
import type { HubOptions } from '../services/hub.ts';
import type { ImportProcesses } from '../services/importProcess.ts';
import type { RetentionAges } from '../services/retention.ts';
import type { RunChanges, RunFeed } from '../services/run.ts';
import { Loaders } from './loaders.ts';

/** Who is calling. */
export interface Viewer {
  scopes: readonly Scope[];
  /** Names the client in logs and limits: its key, or its address. */
  clientId: string;
  /** Id of its key; left out where there is none. */
  keyId?: string;
}

/** What lives as long as the server; `main.ts` constructs it. */
export interface Dependencies extends EngineWork {
  feed: RunFeed;
  runChanges: RunChanges;
  /** After how long what nobody needs is collected. */
  retention: RetentionAges;
  /** Directory whose files `importDataset` and `importModel` may read. */
  importDir: string;
  /** Read the models that are imported. */
  imports: ImportProcesses;
  /** Where models are imported from by name. */
  hub: HubOptions;
  limits: { complexity: number; modelBytes: number; engineBytes: number; queuedRuns: number };
}

export interface Context extends Dependencies {
  viewer: Viewer;
  /** Ties an answer to the lines that it left in the log. */
  requestId: string;
  loaders: Loaders;
  /** Cursor of the last event that a browser's `EventSource` saw before it lost its connection. */
  lastEventId: string | null;
}

/** The context of one request or subscription. */
export function createContext(
  dependencies: Dependencies,
  viewer: Viewer,
  requestId: string,
  lastEventId: string | null = null,
): Context {
  return { ...dependencies, viewer, requestId, lastEventId, loaders: new Loaders(dependencies) };
}
