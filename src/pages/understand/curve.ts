// The curve of an activation with the points that are on it: every sum of the step and what has become of it. Curve and points
// are what the service has computed.
import type uPlot from 'uplot';
import { Tensor } from '../../client/index.ts';
import { el } from '../dom.ts';
import type { Page } from '../page.ts';
import { carryoverOf } from '../service.ts';
import type { Activation } from './cells.ts';
import type { Matrix } from './matrix.ts';
import { cssColor, onThemeChange } from './theme.ts';

const RANGE = 4;
const POINTS_PER_UNIT = 16;
const HEIGHT_PIXELS = 200;

export interface Curves {
  readonly z: Float32Array;
  readonly values: Readonly<Record<Activation, Float32Array>>;
  readonly Plot: typeof uPlot;
}

/** tanh and sigmoid of -4 … 4: the gates of a GRU whose sums are x. @throws CarryoverError, or the reason of the signal */
export async function computeCurves(page: Page, signal: AbortSignal): Promise<Curves> {
  const z = Float32Array.from({ length: 2 * RANGE * POINTS_PER_UNIT + 1 }, (_, k) => k / POINTS_PER_UNIT - RANGE);
  const weights = { layers: [{ type: 'gru', W_x: [[1, 1, 1]], W_h: [[0, 0, 0]] }] } as const;
  const { trace } = await carryoverOf(page).step({ weights, x: new Tensor([z.length, 1], z), trace: true }, { signal });
  // It takes longer to be ready than all else on the page: by now that has been drawn.
  const { default: Plot } = await import('uplot');
  const { r, n } = trace!.layers![0]!.values;
  return { z, values: { sigmoid: r!.data, tanh: n!.data }, Plot };
}

/** What the service says tanh or sigmoid of z is, for a z that is a sixteenth. */
export function onCurve({ values }: Curves, activation: Activation, z: number): number {
  return values[activation][(z + RANGE) * POINTS_PER_UNIT]!;
}

export class CurvePlot {
  readonly element = el('div', { class: 'curve' });
  readonly #plot: uPlot;
  readonly #dispose: () => void;
  readonly #curves: Curves;
  #colors = currentColors();
  #activation: Activation = 'tanh';

  /** @param label of a screen reader */
  constructor(curves: Curves, label: string) {
    this.#curves = curves;
    this.#plot = new curves.Plot(
      {
        width: 300,
        height: HEIGHT_PIXELS,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false, range: [-RANGE, RANGE] }, y: { range: () => (this.#activation === 'tanh' ? [-1.1, 1.1] : [-0.1, 1.1]) } },
        axes: [this.#axis(24), this.#axis(32)],
        series: [
          {},
          { stroke: () => this.#colors.curve, width: 2, spanGaps: true, points: { show: false } },
          { stroke: () => this.#colors.points, width: 0, paths: () => null, points: { show: true, size: 7, fill: () => this.#colors.points } },
        ],
      },
      [[], [], []],
      this.element,
    );
    this.element.setAttribute('role', 'img');
    this.element.setAttribute('aria-label', label);
    const resize = new ResizeObserver(() => this.#plot.setSize({ width: Math.max(160, this.element.clientWidth), height: HEIGHT_PIXELS }));
    resize.observe(this.element);
    const endTheme = onThemeChange(() => {
      this.#colors = currentColors();
      this.#plot.redraw();
    });
    this.#dispose = () => {
      resize.disconnect();
      endTheme();
      this.#plot.destroy();
    };
  }

  /** @param z (N, H), and its activation, point by point */
  draw(activation: Activation, z: Matrix, values: Matrix): void {
    this.#activation = activation;
    const { z: curveZ, values: curves } = this.#curves;
    const points = Array.from(z.data, (one, k) => ({ z: Math.max(-RANGE, Math.min(RANGE, one)), value: values.data[k]! })).toSorted((a, b) => a.z - b.z);
    const [xs, line, dots]: [number[], (number | null)[], (number | null)[]] = [[], [], []];
    let next = 0;
    const addPointsUpTo = (limit: number) => {
      for (; next < points.length && points[next]!.z <= limit; next++) {
        xs.push(points[next]!.z);
        line.push(null);
        dots.push(points[next]!.value);
      }
    };
    curveZ.forEach((one, k) => {
      addPointsUpTo(one);
      xs.push(one);
      line.push(curves[activation][k]!);
      dots.push(null);
    });
    this.#plot.setData([xs, line, dots]);
  }

  dispose(): void {
    this.#dispose();
  }

  #axis(size: number): uPlot.Axis {
    return {
      size,
      gap: 2,
      stroke: () => this.#colors.text,
      grid: { stroke: () => this.#colors.line, width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    };
  }
}

function currentColors() {
  return { curve: cssColor('--accent'), points: cssColor('--positive'), text: cssColor('--ink-weak'), line: cssColor('--line') };
}
