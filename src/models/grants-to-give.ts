// The grants that a registration gives; tenant-names.ts says what a grant is.
import { DEFAULT_TENANT } from '../tenant.ts';
import type { ModelInfo } from './model-info.ts';
import type { ModelRegistry } from './registry.ts';
import { grantName } from './tenant-names.ts';

/** Whether no tenant has registered the model, and it is not offered to all. */
export function isWithoutGrant(registry: ModelRegistry, id: string): boolean {
  return !registry.grants.hasAny(id) && !registry.isPublic(id);
}

/**
 * As names (grantName) in the order in which they are to be stored: the one with which the tenant sees the model, which it may
 * have already, and before it that of the default tenant, if it is what was registered before there were tenants.
 *
 * @param wasKept whether the model was kept before this registration; one that was not had inline weights of a session
 */
export function grantsToGive(registry: ModelRegistry, { id, created_at }: ModelInfo, tenant: string, wasKept: boolean): string[] {
  // One that the registry has is given again: another process may have taken it away, and the model with it.
  const own = grantName({ tenant, id, grantedAtMs: registry.grants.grantedAtMs(tenant, id) ?? Date.now() });
  if (!wasKept || tenant === DEFAULT_TENANT || !isWithoutGrant(registry, id)) return [own];
  return [grantName({ tenant: DEFAULT_TENANT, id, grantedAtMs: Date.parse(created_at) }), own];
}
