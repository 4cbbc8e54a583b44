export const NEEDED: readonly [major: number, minor: number];
export function isSupported(version: string): boolean;
export function refusal(found: string): string;
