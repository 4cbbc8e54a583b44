// Who makes a request, and what it may do.

/** What a key or a token allows; `admin` allows everything of its tenant, and backups. */
export const SCOPES = ['compute', 'sessions', 'models', 'admin'] as const;

export type Scope = (typeof SCOPES)[number];

export function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}

/** The most that a tenant or a key may use, each a rate for one second. Absent: as the settings say. */
export interface Rates {
  readonly requests_per_s?: number | undefined;
  /** Operations of the computations: additions and multiplications. */
  readonly flops_per_s?: number | undefined;
}

export interface Principal {
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
  /** For the audit log: the id of a key, or `sub` of a token. Neither is secret. */
  readonly name: string;
  /** Of the key itself, besides those of its tenant. */
  readonly rates: Rates;
  /** Whether the key or the token is still good: a key may be taken out of the file, both expire. */
  readonly isCurrent: () => boolean;
}

export function allows({ scopes }: Pick<Principal, 'scopes'>, scope: Scope): boolean {
  return scopes.has(scope) || scopes.has('admin');
}
