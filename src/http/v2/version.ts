import { CarryoverError } from '../../errors.ts';
import { VERSION } from './answer.ts';

/** @throws model_not_found unless it is the one version that models have */
export function expectVersion({ model, version }: { readonly model: string; readonly version: string }): void {
  if (version === VERSION) return;
  throw new CarryoverError('model_not_found', {
    detail:
      `There is no version ${JSON.stringify(version.slice(0, 40))} of model '${model}', expected ${VERSION}: other weights are ` +
      'another model, and its name may be moved to them.',
  });
}
