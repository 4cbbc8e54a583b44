// The service of a page, through its client. It is apart from page.ts as the client is most of what the page has to load: the
// first view shows what can be chosen before it is there.
import { Carryover } from '../client/index.ts';
import type { Page } from './page.ts';

/** A person who waits wants to know earlier than a program that nobody answers. */
const GIVE_UP_MS = 3000;

const clients = new WeakMap<Page, Carryover>();

/** One for each page. @throws TypeError if the API key is none */
export function carryoverOf(page: Page): Carryover {
  const { baseUrl, apiKey } = page;
  const client = clients.get(page) ?? new Carryover(baseUrl, { apiKey, retry: { giveUpMs: GIVE_UP_MS } });
  clients.set(page, client);
  return client;
}
