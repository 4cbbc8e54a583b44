// The histograms of /metrics, compared with counting by hand, and the form of the catalogue.
import { describe, expect, test } from 'vitest';
import { METRICS, type MetricDefinition } from '../../src/metrics/catalogue.ts';
import { Distribution } from '../../src/metrics/series.ts';
import { fc } from '../helpers/seed.ts';

test('a histogram has the cumulative counts, the sum and the count of what was observed', () => {
  const bounds = [0.1, 1, 10];
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(...bounds))), (values) => {
      const distribution = new Distribution(bounds);
      for (const value of values) distribution.observe(value);
      const samples = distribution.samples('x', { a: 'b' });
      const buckets = [...bounds, Infinity].map((bound) => ({
        metricName: 'x_bucket',
        labels: { a: 'b', le: bound === Infinity ? '+Inf' : bound },
        value: values.filter((value) => value <= bound).length,
      }));
      expect(samples).toEqual([
        ...buckets,
        { metricName: 'x_sum', labels: { a: 'b' }, value: values.reduce((sum, value) => sum + value, 0) },
        { metricName: 'x_count', labels: { a: 'b' }, value: values.length },
      ]);
    }),
  );
});

describe('the catalogue', () => {
  const all = Object.values<MetricDefinition>(METRICS);

  test('names are unique, and end with their unit; those of counters with _total', () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const { name, type, help } of all) {
      expect(name).toMatch(/^carryover_[a-z_]+$/);
      expect(name.endsWith('_total')).toBe(type === 'counter');
      expect(name).not.toMatch(/_(ms|milliseconds|kb|mib)\b/);
      expect(help).toMatch(/\.$/);
    }
  });

  test('bounds of histograms ascend', () => {
    const histograms = all.filter(({ type }) => type === 'histogram');
    expect(histograms.length).toBeGreaterThan(5);
    for (const { buckets } of histograms) expect(buckets).toEqual(buckets?.toSorted((a, b) => a - b));
  });
});
