// What a demo proves, in words, below its figures.
import { bad, good } from './style.ts';

/** What is claimed, and whether it was found to be so. */
export type Claim = readonly [isTrue: boolean, claim: string];

export function formatClaims(claims: readonly Claim[]): string {
  return claims.map(([isTrue, claim]) => `  ${isTrue ? good('✓') : bad('✗ NOT SO:')} ${claim}`).join('\n');
}
