// Which Node.js this project needs. Plain JavaScript without newer syntax: it must load on the versions that it refuses.

/** Major and minor version, at least. */
export const NEEDED = [24, 3];

/** @param version e.g. `24.3.0` */
export function isSupported(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1]);
}

/** @param found the version that is too old */
export function refusal(found) {
  return `Carryover needs Node.js >= ${NEEDED.join('.')}, this is ${found}.`;
}
