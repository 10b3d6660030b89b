/** A mutation with a file, as the multipart request specification says, telling how far it has been sent. */
import { ApiError, type TypedDocument } from './graphql.ts';

/** The file goes in the place of `input.files[0]`. @throws ApiError */
export function upload<Result, Variables>(
  document: TypedDocument<Result, Variables>,
  variables: NoInfer<Variables>,
  file: File,
  tell: (share: number) => void,
): Promise<Result> {
  const form = new FormData();
  form.append('operations', JSON.stringify({ query: document, variables }));
  form.append('map', JSON.stringify({ 0: ['variables.input.files.0'] }));
  form.append('0', file);
  return new Promise((resolve, reject) => {
    // fetch does not say how far a body has been sent.
    const sent = new XMLHttpRequest();
    sent.upload.onprogress = ({ loaded, total }) => tell(loaded / total);
    sent.onerror = () => reject(new ApiError('The server does not answer.', 'OFFLINE'));
    sent.onload = () => {
      const answer = parse<Result>(sent.responseText);
      if (answer?.data) resolve(answer.data);
      else
        reject(
          new ApiError(answer?.errors?.[0]?.message ?? `The server answered ${sent.status}.`, 'REFUSED'),
        );
    };
    sent.open('POST', '/graphql');
    sent.send(form);
  });
}

function parse<Result>(text: string): { data?: Result | null; errors?: { message: string }[] } | null {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
