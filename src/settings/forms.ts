// Settings that are texts of a form of their own, checked all at once.
import { readHosts } from './hosts.ts';
import { readOrigins } from './origins.ts';
import { trustedProxies } from './proxies.ts';
import { readBasePath, readPublicUrl } from './public-address.ts';
import { checkStoreUrl } from './redis-url.ts';
import { SettingError } from './setting-error.ts';

const READERS = {
  TRUST_PROXY: trustedProxies,
  PUBLIC_URL: readPublicUrl,
  BASE_PATH: readBasePath,
  ALLOWED_HOSTS: readHosts,
  CORS_ORIGINS: readOrigins,
  STORE_URL: checkStoreUrl,
} as const;

type FormSetting = keyof typeof READERS;

export interface FormProblem {
  readonly settings: readonly FormSetting[];
  /** Begins with the name of a setting. */
  readonly message: string;
}

/** What is not understood; and a BASE_PATH that is not the path of PUBLIC_URL. */
export function formProblems(texts: Readonly<Record<FormSetting, string>>): readonly FormProblem[] {
  const names = Object.keys(READERS) as FormSetting[];
  const problems = names.flatMap((name) => problemOf(name, texts[name]));
  if (problems.length > 0 || texts.BASE_PATH === '') return problems;
  const path = readPublicUrl(texts.PUBLIC_URL)?.path ?? texts.BASE_PATH;
  if (path === texts.BASE_PATH) return [];
  const message = `BASE_PATH must be the path of PUBLIC_URL, got ${texts.BASE_PATH} and ${path || '/'}: leave BASE_PATH out`;
  return [{ settings: ['BASE_PATH', 'PUBLIC_URL'], message }];
}

function problemOf(name: FormSetting, text: string): readonly FormProblem[] {
  try {
    READERS[name](text);
    return [];
  } catch (error) {
    if (!(error instanceof SettingError)) throw error;
    return [{ settings: [name], message: `${name} ${error.message}` }];
  }
}
