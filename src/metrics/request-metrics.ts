// Requests and messages of WebSockets, counted when they have ended.
import { ERRORS, type ErrorCode } from '../error-kinds.ts';
import type { EndedRequest } from '../http/request-end.ts';
import type { RequestRecord } from '../request-record.ts';
import { METRICS } from './catalogue.ts';
import type { Exposition } from './exposition.ts';
import type { Count, Distribution } from './series.ts';

/** Methods that are told apart: those of the routes. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'];
const STATUS_CLASSES = ['unanswered', '1xx', '2xx', '3xx', '4xx', '5xx'];

/** What is counted of one route. */
class RouteSeries {
  readonly seconds: Distribution;
  readonly #countOf: (method: string, status: string) => Count;
  /** By method and class of status, as they occur. */
  readonly #counts = new Map<string, (Count | undefined)[]>();

  constructor(seconds: Distribution, countOf: (method: string, status: string) => Count) {
    this.seconds = seconds;
    this.#countOf = countOf;
  }

  /** @param statusClass 0 of a request that was not answered, else the first digit of its status */
  count(method: string, statusClass: number): void {
    let counts = this.#counts.get(method);
    if (!counts) {
      if (!METHODS.includes(method)) return this.#countOf('other', STATUS_CLASSES[statusClass]!).add();
      counts = Array<Count | undefined>(STATUS_CLASSES.length).fill(undefined);
      this.#counts.set(method, counts);
    }
    (counts[statusClass] ??= this.#countOf(method, STATUS_CLASSES[statusClass]!)).add();
  }
}

export class RequestMetrics {
  /** Routes are those that were registered: their patterns, not what a client asked for. */
  readonly #routes = new Map<string | undefined, RouteSeries>();
  readonly #routeOf: (pattern: string) => RouteSeries;
  readonly #errors: Record<ErrorCode, Count>;
  readonly #read: Distribution;
  readonly #queue: Distribution;
  readonly #compute: Distribution;
  readonly #commit: Distribution;
  readonly #print: Distribution;
  readonly #rows: Distribution;
  readonly #answered: Distribution;
  readonly #refused: Distribution;

  constructor(exposition: Exposition) {
    const requests = exposition.counter(METRICS.requests);
    const seconds = exposition.histogram(METRICS.requestSeconds);
    this.#routeOf = (pattern) =>
      new RouteSeries(seconds.of(pattern), (method, status) => requests.of(pattern, method, status));
    const parts = exposition.histogram(METRICS.partSeconds);
    this.#read = parts.of('read');
    this.#queue = parts.of('queue');
    this.#compute = parts.of('compute');
    this.#commit = parts.of('commit');
    this.#print = parts.of('print');
    const errors = exposition.counter(METRICS.errors);
    const codes = Object.keys(ERRORS) as ErrorCode[];
    this.#errors = Object.fromEntries(codes.map((code) => [code, errors.of(code)])) as Record<ErrorCode, Count>;
    this.#rows = exposition.histogram(METRICS.rows).of();
    const messages = exposition.histogram(METRICS.messageSeconds);
    this.#answered = messages.of('answered');
    this.#refused = messages.of('refused');
  }

  readonly onRequestEnd = ({ method, route, statusCode, durationMs, unanswered, errorCode, record }: EndedRequest): void => {
    let series = this.#routes.get(route);
    if (!series) {
      series = this.#routeOf(route ?? 'none');
      this.#routes.set(route, series);
    }
    const isAnswered = unanswered === undefined && statusCode !== undefined;
    series.count(method ?? 'other', isAnswered ? Math.floor(statusCode / 100) : 0);
    if (durationMs !== undefined && statusCode !== 101) series.seconds.observe(durationMs / 1_000);
    if (errorCode !== undefined) this.#errors[errorCode].add();
    if (record) this.#observeParts(record);
  };

  readonly onMessageEnd = (record: RequestRecord, durationMs: number): void => {
    const { errorCode } = record;
    (errorCode === undefined ? this.#answered : this.#refused).observe(durationMs / 1_000);
    if (errorCode !== undefined) this.#errors[errorCode].add();
    this.#observeParts(record);
  };

  /** A part that a request does not have is not observed; every one that reads or computes may wait. */
  #observeParts({ readMs, queueMs, computeMs, commitMs, printMs, N }: RequestRecord): void {
    if (computeMs > 0 || queueMs > 0) this.#queue.observe(queueMs / 1_000);
    if (readMs > 0) this.#read.observe(readMs / 1_000);
    if (computeMs > 0) this.#compute.observe(computeMs / 1_000);
    if (commitMs > 0) this.#commit.observe(commitMs / 1_000);
    if (printMs > 0) this.#print.observe(printMs / 1_000);
    if (N > 0) this.#rows.observe(N);
  }
}
