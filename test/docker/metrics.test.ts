// The dashboard, the alerts and the table of docker/README.md, compared with what a running service exports.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { METRICS, type MetricDefinition } from '../../src/metrics/catalogue.ts';
import { buildApp } from '../helpers/app.ts';
import { type PrintedSample, readMetrics } from '../helpers/prometheus.ts';

const docker = join(import.meta.dirname, '../../docker');
const read = (path: string) => readFileSync(join(docker, path), 'utf8');

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

const dashboard = JSON.parse(read('grafana/dashboards/carryover.json')) as { uid: string; panels: Panel[] };
const alerts = parse(read('prometheus/alerts.yaml')) as { groups: { name: string; rules: Rule[] }[] };
const rules = alerts.groups.flatMap((group) => group.rules);
const targets = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })));

/** What Prometheus itself adds to every series. */
const OF_PROMETHEUS = ['instance', 'job'];

/** A service that has answered some requests, so that it has series of every metric. */
const samples = await (async (): Promise<PrintedSample[]> => {
  const app = await buildApp({ METRICS_PORT: '9464' });
  const weights = { W_x: [[0.5]], W_h: [[0.8]] };
  const { id } = (await app.post('/v1/sessions', { weights })).body;
  await app.post('/v1/step', { session: id, x: [[1]] });
  await app.http.inject({ method: 'DELETE', url: `/v1/sessions/${id}` });
  const headers = { 'content-type': 'application/octet-stream' };
  await app.http.inject({ method: 'POST', url: '/v1/models', headers, payload: Buffer.from('none') });
  globalThis.gc?.();
  await app.metrics!.print();
  return [...readMetrics(await app.metrics!.print()), { name: 'up', labels: {}, value: 1 }];
})();

const statuses = ['unanswered', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** A selector of PromQL: a name with what its labels must be. */
function selectorsOf(expr: string) {
  return [...expr.matchAll(/\b((?:carryover|process|nodejs)_\w+|up)\b(?:\{([^}]*)\})?/g)].map(([, name, matchers = '']) => ({
    name: name!,
    matchers: [...matchers.matchAll(/(\w+)(?:=~|=|!=)"([^"]*)"/g)].map(([, label, value]) => ({ label: label!, value: value! })),
  }));
}

/** Why the service cannot answer the expression; empty if it can. */
function problemsOf(expr: string): string[] {
  const selectors = selectorsOf(expr);
  const problems = selectors.length === 0 ? [`no metric in ${expr}`] : [];
  const known = new Set(OF_PROMETHEUS);
  for (const { name, matchers } of selectors) {
    const series = samples.filter((sample) => sample.name === name);
    if (series.length === 0 && !isRareFamily(name)) problems.push(`${name} is not exported`);
    for (const label of labelsOf(name, series)) known.add(label);
    for (const { label, value } of matchers.filter(({ label }) => !OF_PROMETHEUS.includes(label))) {
      const values = label === 'status' ? statuses : series.map(({ labels }) => labels[label]);
      for (const one of value.split('|')) if (!values.includes(one)) problems.push(`${name} has no ${label}="${one}"`);
    }
  }
  for (const [, list] of expr.matchAll(/\b(?:by|without|ignoring|on) \(([^)]*)\)/g)) {
    for (const label of list!.split(',').map((part) => part.trim())) {
      if (!known.has(label)) problems.push(`no label ${label} in ${expr}`);
    }
  }
  const open = expr.split('(').length;
  if (open !== expr.split(')').length) problems.push(`unbalanced: ${expr}`);
  return problems;
}

function labelsOf(name: string, series: readonly PrintedSample[]): string[] {
  return series.flatMap(({ labels }) => Object.keys(labels)).concat(isRareFamily(name) ? ['kind'] : []);
}

/** Garbage collection has a series only once it has run. */
function isRareFamily(name: string): boolean {
  return name.startsWith('nodejs_gc_duration_seconds');
}

describe('what is exported', () => {
  const definitions = Object.values<MetricDefinition>(METRICS);

  test('it is what the catalogue, and so the table of docker/README.md, has', () => {
    const base = (name: string) => name.replace(/_(bucket|sum|count)$/, '');
    const exported = new Set(
      samples.map(({ name }) => name).filter((name) => name.startsWith('carryover_')).map((name) => {
        return definitions.some((definition) => definition.name === name) ? name : base(name);
      }),
    );
    expect([...exported].toSorted()).toEqual(definitions.map(({ name }) => name as string).toSorted());
  });

  test.each(definitions)('$name has the labels of the catalogue', ({ name, type, labels }) => {
    const printed = samples.filter((sample) => sample.name === (type === 'histogram' ? `${name}_sum` : name));
    expect(printed.length).toBeGreaterThan(0);
    for (const sample of printed) expect(Object.keys(sample.labels)).toEqual(labels);
  });
});

describe('the dashboard', () => {
  test.each(targets)('$title: $expr', ({ expr, legendFormat }) => {
    expect(problemsOf(expr)).toEqual([]);
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(expr).toMatch(new RegExp(`by \\([^)]*\\b${label}\\b`));
  });

  test('every metric of the service is in it', () => {
    const shown = targets.flatMap(({ expr }) => selectorsOf(expr).map(({ name }) => name.replace(/_(bucket|sum|count)$/, '')));
    const missing = Object.values(METRICS).map(({ name }) => name).filter((name) => !shown.includes(name));
    expect(missing).toEqual([]);
  });

  test('panels have ids of their own and do not overlap', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const cells = dashboard.panels.flatMap((panel) => {
      const { x, y, w, h } = (panel as unknown as { gridPos: Record<'x' | 'y' | 'w' | 'h', number> }).gridPos;
      return Array.from({ length: w * h }, (_, k) => `${x + (k % w)},${y + Math.floor(k / w)}`);
    });
    expect(new Set(cells).size).toBe(cells.length);
  });

  test('the provisioning names the datasource that the panels use', () => {
    const files = readdirSync(join(docker, 'grafana/provisioning'), { recursive: true, encoding: 'utf8' });
    expect(files.filter((file) => file.endsWith('.yaml'))).toHaveLength(2);
    const { datasources } = parse(read('grafana/provisioning/datasources/carryover.yaml'));
    const { providers } = parse(read('grafana/provisioning/dashboards/carryover.yaml'));
    expect(providers[0].options.path).toBe('/var/lib/grafana/dashboards');
    const used = JSON.stringify(dashboard).match(/"datasource":\{[^}]*\}/g);
    expect(new Set(used)).toEqual(new Set([`"datasource":{"type":"prometheus","uid":"${datasources[0].uid}"}`]));
  });
});

describe('the alerts', () => {
  test.each(rules)('$alert: the service exports what it asks for', ({ expr }) => {
    expect(problemsOf(expr)).toEqual([]);
    expect(expr).toMatch(/ (>|<|==) [\d.]+$/);
  });

  test('every alert has a severity, a summary and what to do', () => {
    expect(rules.length).toBeGreaterThan(8);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { labels, annotations } of rules) {
      expect(['warning', 'critical']).toContain(labels.severity);
      expect(annotations.summary).toContain('$labels.instance');
      expect(annotations.description).toMatch(/\.$/);
    }
  });

  test('the configuration of Prometheus loads them', () => {
    const { rule_files, scrape_configs } = parse(read('prometheus/prometheus.yaml'));
    expect(rule_files).toEqual(['alerts.yaml']);
    expect(scrape_configs[0].job_name).toBe('carryover');
  });

  test('control: a metric, a label and a value that do not exist are found', () => {
    expect(problemsOf('rate(carryover_nothing_total[5m]) > 0')).toHaveLength(1);
    expect(problemsOf('sum by (route, tenant) (carryover_requests_total) > 0')).toHaveLength(1);
    expect(problemsOf('carryover_requests_total{status="6xx"} > 0')).toHaveLength(1);
    expect(problemsOf('carryover_store_errors_total{code="gone"} > 0')).toHaveLength(1);
  });
});
