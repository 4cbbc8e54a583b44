// Encoded spans on their way to the collector: OTLP over HTTP, one batch after another.
//
// The exporter reads by itself: OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE, _CLIENT_CERTIFICATE and
// _CLIENT_KEY; the resource: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
import { convertLegacyHttpOptions, createOtlpHttpExportDelegate } from '@opentelemetry/otlp-exporter-base/node-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import type { ThreadOptions } from '../messages.ts';
import { ProtobufWriter } from '../protobuf-writer.ts';
import type { EncodedSpans } from '../span-batch.ts';
import { writeText } from '../span-fields.ts';

/** Called for each batch. @param error undefined if the collector has it */
type SettledListener = (spans: number, error: Error | undefined) => void;

/** Batches that are sent at once: a collector that is far away answers each late. */
const AT_ONCE_MAX = 4;
/** How long the end of the process waits for the last spans. */
const CLOSE_MS_MAX = 2_000;

const SCOPE = 'carryover';
// Fields of ExportTraceServiceRequest, ResourceSpans, Resource, ScopeSpans and InstrumentationScope.
const RESOURCE_SPANS = 1;
const RESOURCE = 1;
const RESOURCE_ATTRIBUTE = 1;
const SCOPE_SPANS = 2;
const SCOPE_SPANS_SCOPE = 1;
const SCOPE_NAME = 1;
const SCOPE_VERSION = 2;

export class SpanExport {
  readonly #delegate: ReturnType<typeof createDelegate>;
  readonly #onSettled: SettledListener;
  readonly #waiting: EncodedSpans[] = [];
  readonly #sending = new Set<Promise<void>>();

  constructor(options: ThreadOptions, onSettled: SettledListener) {
    this.#delegate = createDelegate(options);
    this.#onSettled = onSettled;
  }

  /** Never waits, and never throws. The caller bounds what waits. */
  add(spans: EncodedSpans): void {
    this.#waiting.push(spans);
    this.#sendNext();
  }

  /** Sends what waits, for as long as there is time. */
  async close(): Promise<void> {
    const { promise: timeout, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_MS_MAX);
    await Promise.race([this.#allSettled(), timeout]);
    clearTimeout(timer);
  }

  async #allSettled(): Promise<void> {
    while (this.#sending.size > 0) await Promise.all(this.#sending);
  }

  #sendNext(): void {
    while (this.#sending.size < AT_ONCE_MAX) {
      const spans = this.#waiting.shift();
      if (!spans) return;
      const sending = this.#send(spans);
      this.#sending.add(sending);
      void sending.finally(() => {
        this.#sending.delete(sending);
        this.#sendNext();
      });
    }
  }

  async #send(spans: EncodedSpans): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.#delegate.export(spans, ({ error }) => resolve(error));
    this.#onSettled(spans.count, await promise);
  }
}

function createDelegate({ endpoint, version }: ThreadOptions) {
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`;
  const resource = encodedResource(version);
  const scope = encodedScope(version);
  return createOtlpHttpExportDelegate(
    convertLegacyHttpOptions({ url }, 'TRACES', 'v1/traces', { 'Content-Type': 'application/x-protobuf' }),
    { serializeRequest: ({ bytes }: EncodedSpans) => requestOf(resource, scope, bytes), deserializeResponse: () => undefined },
    'otlp_http_span_exporter',
    { name: 'span', countItems: ({ count }: EncodedSpans) => count },
    undefined,
  );
}

/** Whom all spans of the process come from: the fields of a Resource. */
function encodedResource(version: string): Uint8Array {
  const resource = defaultResource()
    .merge(resourceFromAttributes({ 'service.name': SCOPE, 'service.version': version }))
    .merge(detectResources({ detectors: [envDetector] }));
  const writer = new ProtobufWriter();
  for (const [key, value] of Object.entries(resource.attributes)) {
    writeText(writer, RESOURCE_ATTRIBUTE, key, String(value));
  }
  return writer.take();
}

/** The fields of an InstrumentationScope. */
function encodedScope(version: string): Uint8Array {
  const writer = new ProtobufWriter();
  writer.text(SCOPE_NAME, SCOPE);
  writer.text(SCOPE_VERSION, version);
  return writer.take();
}

/** An ExportTraceServiceRequest. @param spans fields of ScopeSpans */
function requestOf(resource: Uint8Array, scope: Uint8Array, spans: Uint8Array): Uint8Array {
  const writer = new ProtobufWriter();
  const resourceSpans = writer.begin(RESOURCE_SPANS);
  writer.message(RESOURCE, resource);
  const scopeSpans = writer.begin(SCOPE_SPANS);
  writer.message(SCOPE_SPANS_SCOPE, scope);
  writer.fields(spans);
  writer.end(scopeSpans);
  writer.end(resourceSpans);
  return writer.take();
}
