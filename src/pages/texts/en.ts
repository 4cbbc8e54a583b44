// All texts of the page in English. The other languages have the same keys.

export const en = {
  languageName: 'English',
  bar: {
    skip: 'Skip to the content',
    views: 'Views',
    understand: 'Understand',
    try: 'Try a model',
    models: 'Models',
    sessions: 'Sessions',
    docs: 'API',
    problems: 'Errors',
    language: 'Language',
    theme: 'Theme',
    themes: { auto: 'As the system', light: 'Light', dark: 'Dark' },
    key: 'API key',
    keySet: 'API key: set',
  },
  key: {
    title: 'API key',
    explanation: 'Kept in this tab until it is closed, and sent with every call of this page.',
    label: 'Key',
    save: 'Save',
    forget: 'Forget it',
    cancel: 'Cancel',
  },
  snippets: {
    title: 'Take it with you',
    copy: 'Copy',
    copied: 'Copied.',
    notCopied: 'The browser did not allow it: select the text and copy it.',
  },
  heatmap: {
    /** Read aloud where the picture is not seen. */
    summary: (name: string, rows: number, columns: number) => `${name}, ${rows} × ${columns}. Arrow keys move from number to number.`,
  },
  failure: {
    title: 'That did not work.',
    unauthenticated: 'This service needs an API key. Enter one above.',
    unreachable: 'The service does not answer. Is it still running?',
  },
};

export type Texts = typeof en;
