// Styles of text. There are none in a pipe, or if NO_COLOR is set.
import { styleText } from 'node:util';

export const strong = (text: string) => styleText('bold', text);
export const weak = (text: string) => styleText('dim', text);
/** What was measured. */
export const measured = (text: string) => styleText('cyan', text);
/** What was forecast. */
export const forecast = (text: string) => styleText('magenta', text);
/** What a demo proves, and what is as it should be. */
export const good = (text: string) => styleText('green', text);
/** What is not, and a kill. */
export const bad = (text: string) => styleText('red', text);
