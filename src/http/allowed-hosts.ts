// Which hosts a request may name. It guards a service in a private network, or on the machine of a person who reads web
// pages, against DNS rebinding: a page of a stranger's site lets the name of that site point to the service, and its
// requests are then of the same origin; but they name that site.
//
// IP addresses are allowed always, and so is localhost: no name server says where they are. Kubernetes, load balancers
// and gateways probe by address.
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { ANY_HOST, type AllowedHost, isLoopbackHost, parseHost, readHosts } from '../settings/hosts.ts';
import { readPublicUrl } from '../settings/public-address.ts';
import { authorityOf } from './public-address.ts';

export interface HostSettings {
  readonly HOST: string;
  readonly ALLOWED_HOSTS: string;
  readonly PUBLIC_URL: string;
}

/** Without ALLOWED_HOSTS all are allowed where other machines may reach the service: it does not know by which names. */
export function allowedHostsOf({ HOST, ALLOWED_HOSTS, PUBLIC_URL }: HostSettings): AllowedHosts {
  const listed = readHosts(ALLOWED_HOSTS);
  if (listed === ANY_HOST || (listed.length === 0 && !isLoopbackHost(HOST))) return new AllowedHosts(ANY_HOST);
  const { origin } = readPublicUrl(PUBLIC_URL) ?? {};
  const name = origin && new URL(origin).hostname;
  return new AllowedHosts(name ? [...listed, { name, port: undefined }] : listed);
}

export class AllowedHosts {
  readonly #hosts: readonly AllowedHost[] | typeof ANY_HOST;
  /** The last one that was allowed: most requests name the same. */
  #latest: string | undefined;

  constructor(hosts: readonly AllowedHost[] | typeof ANY_HOST) {
    this.#hosts = hosts;
  }

  /** Nothing is to be checked. */
  get areAll(): boolean {
    return this.#hosts === ANY_HOST;
  }

  /** A request that names none is of no browser, and allowed. */
  includes(host: string | undefined): boolean {
    if (!host || host === this.#latest) return true;
    if (!this.#isAllowed(host)) return false;
    this.#latest = host;
    return true;
  }

  #isAllowed(text: string): boolean {
    if (this.#hosts === ANY_HOST) return true;
    const host = parseHost(text);
    if (!host) return false;
    const { name, port } = host;
    if (isIP(name.replace(/^\[|\]$/g, '')) !== 0 || /(^|\.)localhost$/.test(name)) return true;
    return this.#hosts.some((one) => one.name === name && (one.port === undefined || one.port === port));
  }
}

/** The host that a request is sent to, with its port. X-Forwarded-Host does not count, as a client can send it itself. */
export function hostOf({ headers, originalUrl, url = '' }: IncomingMessage & { originalUrl?: string }): string | undefined {
  return authorityOf(originalUrl ?? url) ?? headers.host;
}
