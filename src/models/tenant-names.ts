// Names of models that belong to a tenant, as the store and the registry have them:
//
//   NAME                          of the default tenant
//   TENANT/NAME                   of any other tenant
//   TENANT/sha256:…@MILLISECONDS  no name, but a grant: the tenant has registered this model, at this time
//
// A model is stored once, whoever has registered it. A tenant sees those it has a grant for, and the public ones.
import { DEFAULT_TENANT, type Tenant } from '../tenant.ts';

export interface Grant {
  readonly tenant: string;
  readonly id: string;
  readonly grantedAtMs: number;
}

/** As the registry and the store have the name that a request of the tenant gives. */
export function scopedName(tenant: Tenant, name: string): string {
  return tenant === undefined || tenant === DEFAULT_TENANT ? name : `${tenant}/${name}`;
}

/** The name as the tenant gave it; undefined if it is a grant, or of another tenant. */
export function ownName(tenant: Tenant, scoped: string): string | undefined {
  const prefix = scopedName(tenant, '');
  if (!scoped.startsWith(prefix)) return undefined;
  const name = scoped.slice(prefix.length);
  return /[/:]/.test(name) ? undefined : name;
}

export function grantName({ tenant, id, grantedAtMs }: Grant): string {
  return `${tenant}/${id}@${grantedAtMs}`;
}

/** Undefined if it is a name and no grant. */
export function parseGrant(scoped: string): Grant | undefined {
  const [, tenant, id, grantedAtMs] = /^([^/]+)\/(sha256:[0-9a-f]+)@(\d+)$/.exec(scoped) ?? [];
  return tenant === undefined ? undefined : { tenant, id: id!, grantedAtMs: Number(grantedAtMs) };
}

/** Whose name it is. */
export function tenantOf(scoped: string): string {
  const [tenant, name] = scoped.split('/', 2);
  return name === undefined ? DEFAULT_TENANT : tenant!;
}

/** Whether it belongs to the tenant, be it a name or a grant; to the default tenant belong all names without a tenant. */
export function isOfTenant(tenant: string, scoped: string): boolean {
  if (scoped.startsWith(`${tenant}/`)) return true;
  return tenant === DEFAULT_TENANT && !scoped.includes('/');
}
