// A problem of the API in the words of the command line.
import { ERRORS, type ErrorCode } from '../error-kinds.ts';

/** Where a detail speaks of the query of a request, the option that stands for it. */
const OPTIONS: Partial<Record<ErrorCode, string>> = {
  activation_unconfirmed: 'Here that is --activation tanh.',
  layers_unconfirmed: "Here that is --layers '[…]'.",
  unknown_tensors: "Here a readout is named with --readout NAME, and layers are described with --layers '[…]'.",
};

/** The detail says what was found and expected; what passes by itself, or is no fault of the client, has an advice. */
export function sentenceOf(code: ErrorCode, detail: string): string {
  const { status, advice } = ERRORS[code];
  const more = OPTIONS[code] ?? (status >= 500 ? advice : undefined);
  return `${detail}${more === undefined ? '' : ` ${more}`} [${code}]`;
}
