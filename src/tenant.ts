// A tenant: those who share sessions, names of models and limits. Which tenant a request is of is decided by its API key or
// its token (access/).

/**
 * The name of a tenant; undefined where no keys and no tokens are configured: then every request can reach everything,
 * and what it makes belongs to the default tenant.
 */
export type Tenant = string | undefined;

/** Has what was made while no keys were configured. */
export const DEFAULT_TENANT = 'default';

export const TENANT_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$';
