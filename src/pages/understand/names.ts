// Names of tensors as mathematics writes them: h_{t-1} is an h with a small t - 1 below.
import { type Child, el } from '../dom.ts';

/** A formula with subscripts, a letter with `_x` or `_{…}` behind it; single letters are variables. */
export function formula(text: string): HTMLElement {
  const parts = text.split(/_(\{[^}]*\}|\w)/);
  return el('span', { class: 'math' }, parts.flatMap((part, k) => (k % 2 === 0 ? symbols(part) : [el('sub', {}, symbols(part.replace(/[{}]/g, ''), /([a-zA-Z])/))])));
}

/** A sentence with formulas between backticks. */
export function prose(text: string): Child[] {
  return text.split('`').map((part, k) => (k % 2 === 0 ? part : formula(part)));
}

/** A formula in one line, for a screen reader. */
export function plainName(text: string): string {
  return minus(text.replace(/[{}]/g, ''));
}

/** Variables are slanted; numbers, signs and the names of functions stand upright. */
function symbols(text: string, variable = /(?<![a-z])([a-zA-Z])(?![a-z])/): Child[] {
  return minus(text).split(variable).map((part, k) => (k % 2 === 0 ? part : el('var', {}, part)));
}

function minus(text: string): string {
  return text.replaceAll('-', '−');
}
