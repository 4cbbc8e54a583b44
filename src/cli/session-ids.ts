// Session ids as arguments: 22 characters of base64url, so one of 64 begins with a dash and looks like an option.

const LIKE_OPTION = /^-[\w-]{21}$/;

/** The words of a command line with such ids behind `--`, after which nothing is an option. */
export function withIdsBehindOptions(argv: readonly string[]): string[] {
  const ids = argv[0] === 'sessions' && !argv.includes('--') ? argv.filter((word) => LIKE_OPTION.test(word)) : [];
  if (ids.length === 0) return [...argv];
  return [...argv.filter((word) => !ids.includes(word)), '--', ...ids];
}
