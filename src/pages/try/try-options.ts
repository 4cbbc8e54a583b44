// What the part of "Try a model" for series, and that for texts, is given.
import type { ModelInfo, Session } from '../../client/index.ts';
import type { Attempts } from '../attempts.ts';
import type { Page } from '../page.ts';

export interface TryOptions {
  readonly page: Page;
  readonly attempts: Attempts;
  readonly model: ModelInfo;
  /** The table of its layers, shown beside what the model is given. */
  readonly layers: HTMLElement;
  /** What the model is called in programs. */
  readonly ref: string;
  /** To go on with, instead of a new one. */
  readonly session: Session | undefined;
}
