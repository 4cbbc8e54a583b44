// Colours, on a terminal only and not with NO_COLOR.
import { styleText } from 'node:util';
import type { Io } from './io.ts';

export function colour(
  { stdout, env }: Pick<Io, 'stdout' | 'env'>,
  format: Parameters<typeof styleText>[0],
  text: string,
): string {
  if (!stdout.isTTY || env['NO_COLOR']) return text;
  return styleText(format, text, { validateStream: false });
}
