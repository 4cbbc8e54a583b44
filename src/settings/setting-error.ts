/** What is wrong with one setting, as the end of a sentence that begins with its name. */
export class SettingError extends Error {}

/** The parts of a list separated by commas; none of an empty text. */
export function listOf(setting: string): string[] {
  return setting.trim() === '' ? [] : setting.split(',').map((part) => part.trim());
}

/** Without what stands before the `@` of a URL: it may be a password, and unencoded it may have any character. */
export function withoutSecrets(text: string | undefined): string | undefined {
  return text?.replace(/\/\/.*@/, '//…@');
}
