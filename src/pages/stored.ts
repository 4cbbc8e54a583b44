// What the page remembers in the browser. One that refuses to store anything still shows the page.

/** A value that stays: the language, the theme. */
export const stored = over(() => localStorage);
/** A value that is forgotten with the tab: an API key. */
export const storedForTab = over(() => sessionStorage);

function over(storage: () => Storage) {
  return {
    read(name: string): string | undefined {
      try {
        return storage().getItem(`carryover.${name}`) ?? undefined;
      } catch {
        return undefined;
      }
    },
    write(name: string, value: string | undefined): void {
      try {
        if (value === undefined) storage().removeItem(`carryover.${name}`);
        else storage().setItem(`carryover.${name}`, value);
      } catch {
        // The choice holds until the page is left.
      }
    },
  };
}
