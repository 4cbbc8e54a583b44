// The picture in the bar: icon.svg as elements. An image is a document of its own, which a browser makes before the first frame.

const SVG = 'http://www.w3.org/2000/svg';

const SHAPES = [
  ['rect', { width: 32, height: 32, rx: 7, fill: '#1f5fa8' }],
  ['path', { d: 'M5 24C13 24 11 8 27 8', fill: 'none', stroke: '#fff', 'stroke-width': 3.2, 'stroke-linecap': 'round' }],
  ['circle', { cx: 16, cy: 16, r: 3.4, fill: '#f5a524' }],
] as const;

export function icon(): SVGElement {
  const picture = shape('svg', { viewBox: '0 0 32 32', 'aria-hidden': 'true' });
  picture.append(...SHAPES.map(([name, attributes]) => shape(name, attributes)));
  return picture;
}

function shape(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value));
  return element;
}
