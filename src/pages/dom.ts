// Elements of the page, made in one expression each.

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;
type Listeners = { readonly [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void };
export type Child = Node | string | undefined;

/**
 * An element with attributes, listeners and children. An attribute that is true is set without a value; one that is false or
 * undefined is not set.
 */
export function el<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  children: readonly Child[] | string = [],
  listeners: Listeners = {},
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(attribute, value === true ? '' : String(value));
  }
  element.append(...(typeof children === 'string' ? [children] : children.filter((child) => child !== undefined)));
  for (const [type, listener] of Object.entries(listeners)) element.addEventListener(type, listener as EventListener);
  return element;
}

export function button(text: string, onClick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  return el('button', { type: 'button', ...attributes }, text, { click: onClick });
}

/** A list of which one is chosen. @param options value and text of each */
export function choice(
  label: string,
  options: readonly (readonly [string, string])[],
  chosen: string,
  onChoose: (value: string) => void,
): HTMLSelectElement {
  const select = el(
    'select',
    { 'aria-label': label },
    options.map(([value, text]) => el('option', { value, selected: value === chosen }, text)),
    { change: () => onChoose(select.value) },
  );
  return select;
}

/** A control with its label above it. */
export function field(label: string, control: HTMLElement): HTMLLabelElement {
  return el('label', { class: 'field' }, [el('span', {}, label), control]);
}

/** A text that a screen reader says whenever it changes. */
export function liveText(attributes: Attributes = {}): HTMLElement {
  return el('p', { role: 'status', 'aria-live': 'polite', ...attributes });
}
