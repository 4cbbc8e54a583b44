// The files that strip-types.ts has made for browsers, and their addresses.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PublicAddress } from './public-address.ts';

const BUILD = join(import.meta.dirname, '../build');

/** @throws Error if it is not built */
export function readBuilt(name: string): string {
  try {
    return readFileSync(join(BUILD, name), 'utf8');
  } catch (cause) {
    throw new Error('What browsers load is not built: run `npm run build`.', { cause });
  }
}

/** Where the files are that never change under their address. @throws Error if they are not built */
export function builtFolder(): { readonly path: string; readonly url: string } {
  const folder = readBuilt('folder');
  return { path: join(BUILD, folder), url: `/${folder}` };
}

/** The address of a file, such as `pages/docs.css`, for a page of the service. @throws Error if it is not built */
export function builtUrl(publicAddress: PublicAddress, file: string): string {
  return publicAddress.pathOf(`${builtFolder().url}/${file}`);
}
