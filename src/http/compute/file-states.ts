// The states of a computation in a safetensors file: h and c of one recurrent layer; h.0, h.1, …, c.0, … of several,
// without those that a layer does not have.
import type { GivenStates, StatesSource } from '../../engine/states.ts';
import { invalidRequest } from '../../errors.ts';
import { type FileBody, isListedState, optionalTensor } from './file-body.ts';

/** @throws shape_mismatch if a state is no matrix · invalid_request if it has both h and h.0 */
export function fileStates(body: Pick<FileBody, 'tensors'>): GivenStates {
  const names = [...body.tensors.keys()].filter(isListedState);
  if (names.length === 0) return { h: optionalTensor(body, 'h', 'NH'), c: optionalTensor(body, 'c', 'NH') };
  const count = 1 + Math.max(-1, ...names.map((name) => Number(name.slice(2))));
  const stateOf = (name: 'h' | 'c'): StatesSource | undefined => {
    if (!names.some((listed) => listed.startsWith(name))) return optionalTensor(body, name, 'NH');
    if (body.tensors.has(name)) {
      throw invalidRequest(`Expected ${name}, or ${name}.0, ${name}.1, … of several layers, got both.`, `/${name}`);
    }
    return Array.from({ length: count }, (_, k) => {
      return optionalTensor(body, `${name}.${k}`, 'NH', `${name}/${k}`) ?? null;
    });
  };
  return { h: stateOf('h'), c: stateOf('c') };
}
