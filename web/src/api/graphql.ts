/** Queries and mutations over fetch; what the server says against them, as an error with words for people. */

/** The text of an operation, with the types of what it answers and of what it is given. */
export type TypedDocument<Result, Variables> = string & { readonly of?: [Result, Variables] };

export type VariablesOf<V> = { [K in keyof V]: V[K] };

export class ApiError extends Error {
  constructor(
    message: string,
    /** `extensions.code`, or OFFLINE where no server answered. */
    readonly code: string,
  ) {
    super(message);
  }
}

/** Whom to tell that the server asks for a key. */
let onUnauthenticated: () => void = () => undefined;

export function whenUnauthenticated(tell: () => void): void {
  onUnauthenticated = tell;
}

/** @throws ApiError for anything but a whole answer. */
export async function request<Result, Variables>(
  document: TypedDocument<Result, Variables>,
  variables: NoInfer<Variables>,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Result> {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query: document, variables }),
    signal,
  }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new ApiError('The server does not answer. It may be starting again.', 'OFFLINE');
  });
  return read<Result>(response);
}

interface Answer<Result> {
  data?: Result | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}

async function read<Result>(response: Response): Promise<Result> {
  const answer = (await response.json().catch(() => ({}))) as Answer<Result>;
  const error = answer.errors?.[0];
  const code = error?.extensions?.code ?? (response.ok ? 'INTERNAL' : `HTTP_${response.status}`);
  if (code === 'UNAUTHENTICATED' || response.status === 401) onUnauthenticated();
  if (error) throw new ApiError(error.message, code);
  if (!answer.data) throw new ApiError(`The server answered ${response.status} without data.`, code);
  return answer.data;
}
