// What is used of Swagger UI, which has no types of its own.

/** A Map of Immutable.js. */
export interface ImmutableMap {
  get(key: string): unknown;
  getIn(path: readonly string[]): unknown;
  filter(test: (value: ImmutableMap, key: string) => boolean): ImmutableMap;
  entrySeq(): { toArray(): [string, ImmutableMap][] };
  readonly size: number;
  toJS(): unknown;
}

export type ReactNode = object | string | null;
export type Component = (props: Readonly<Record<string, unknown>>) => ReactNode;

export interface System {
  readonly React: {
    readonly createElement: (type: Component | string, props: object | null, ...children: ReactNode[]) => ReactNode;
  };
}

export interface Plugin {
  readonly wrapComponents: Readonly<Record<string, Wrap>>;
}

type Wrap = (original: Component, system: System) => Component;

/** The same component each time it is asked for: Swagger UI asks with each rendering, and a new one would lose its state. */
export function once(wrap: Wrap): Wrap {
  let wrapped: Component | undefined;
  return (original, system) => (wrapped ??= wrap(original, system));
}

export interface UiRequest {
  url: string;
  readonly method?: string;
  body?: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

export interface UiResponse {
  readonly url: string;
  readonly status: number;
  readonly text?: string;
}

export interface SwaggerUi {
  readonly specSelectors: { specJson(): ImmutableMap };
  preauthorizeApiKey(scheme: string, key: string): void;
}

export interface SwaggerUiBundle {
  (options: {
    readonly plugins: readonly Plugin[];
    readonly requestInterceptor: (request: UiRequest) => UiRequest | Promise<UiRequest>;
    readonly responseInterceptor: (response: UiResponse) => UiResponse;
    readonly onComplete: () => void;
    readonly [option: string]: unknown;
  }): SwaggerUi;
  readonly presets: { readonly apis: unknown };
}
