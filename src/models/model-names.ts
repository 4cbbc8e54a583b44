// Names of models: each points to one id and can be moved to another, except those of built-in models. Grants are kept among
// them (tenant-names.ts): they are stored, read and deleted as names are.
import { CarryoverError } from '../errors.ts';
import { Grants } from './grants.ts';
import { parseGrant, tenantOf } from './tenant-names.ts';

export const NAME_LENGTH_MAX = 128;
/** The pattern of a name. It has no colon, so a name is never mistaken for an id. */
export const NAME_PATTERN = `^[A-Za-z0-9][A-Za-z0-9._-]{0,${NAME_LENGTH_MAX - 1}}$`;

export function isModelId(ref: string): boolean {
  return ref.startsWith('sha256:');
}

export class ModelNames {
  readonly #countMax: number;
  readonly #ids = new Map<string, string>();
  /** Names of built-in models and their ids. */
  readonly #reserved = new Map<string, string>();
  /** Names of models of MODELS_DIR. */
  readonly #published = new Set<string>();
  readonly grants = new Grants();
  /** Names without grants, all and by tenant. */
  #count = 0;
  readonly #countByTenant = new Map<string, number>();

  /** @param countMax of names (MODELS_MAX) */
  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  /** @param ref a name or an id, which is returned as it is; so is a name that points to no model */
  idOf(ref: string): string {
    return this.#ids.get(ref) ?? ref;
  }

  set(name: string, id: string): void {
    const isNew = !this.#ids.has(name);
    this.#ids.set(name, id);
    if (!isNew) return;
    const grant = parseGrant(name);
    if (grant) this.grants.add(grant);
    else this.#countName(name, 1);
  }

  delete(name: string): void {
    if (!this.#ids.delete(name)) return;
    const grant = parseGrant(name);
    if (grant) this.grants.delete(grant);
    else this.#countName(name, -1);
  }

  /** How many names the tenant has given. */
  countOf(tenant: string): number {
    return this.#countByTenant.get(tenant) ?? 0;
  }

  #countName(name: string, change: 1 | -1): void {
    const tenant = tenantOf(name);
    const count = this.countOf(tenant) + change;
    this.#count += change;
    if (count === 0) this.#countByTenant.delete(tenant);
    else this.#countByTenant.set(tenant, count);
  }

  publish(name: string): void {
    this.#published.add(name);
  }

  /** Whether the name is one of those that all tenants see. */
  isPublic(name: string): boolean {
    return this.#reserved.has(name) || this.#published.has(name);
  }

  /** The ids to which public names point, or will when the model is loaded. */
  publicIds(): string[] {
    const published = [...this.#published].flatMap((name) => this.#ids.get(name) ?? []);
    return [...new Set([...this.#reserved.values(), ...published])];
  }

  /** From then on the name may point to no other id. */
  reserve(name: string, id: string): void {
    this.#reserved.set(name, id);
  }

  isReserved(name: string): boolean {
    return this.#reserved.has(name);
  }

  /** @throws name_taken · built_in_model if the name points to another id */
  expectFree(name: string, id: string): void {
    this.expectMovable(name, id);
    const target = this.#ids.get(name);
    if (target === undefined || target === id) return;
    throw new CarryoverError('name_taken', {
      detail:
        `The name ${JSON.stringify(shown(name))} points to ${target}. Move it with ` +
        `PUT /v1/models/${shown(name)}, or choose another.`,
    });
  }

  /** @param id to which the name is to point; absent if it is to be deleted · @throws built_in_model */
  expectMovable(name: string, id?: string): void {
    const reserved = this.#reserved.get(name);
    if (reserved === undefined || reserved === id) return;
    throw new CarryoverError('built_in_model', {
      detail:
        `The name ${JSON.stringify(name)} belongs to a model that is part of this server, ${reserved}: it ` +
        'can be neither moved nor deleted. Choose another name.',
    });
  }

  /** @throws models_full if the name is new, no grant, and there are countMax names */
  expectCapacity(name: string): void {
    if (this.#ids.has(name) || this.#count < this.#countMax || parseGrant(name)) return;
    throw new CarryoverError('models_full', {
      detail: `${this.#countMax} names are in use (MODELS_MAX); delete a model that is not used.`,
    });
  }
}

/** Without its tenant. */
function shown(name: string): string {
  return name.slice(name.indexOf('/') + 1);
}
