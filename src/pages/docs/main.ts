// The page /docs: Swagger UI over the OpenAPI document of the service.
import { currentApiKey } from '../key-dialog.ts';
import { BASE_URL, fillOuterBar } from '../outer-bar.ts';
import { applyTheme } from '../theme.ts';
import { compactJson, compacted } from './compact-json.ts';
import { errorTables } from './error-tables.ts';
import { LastSession } from './last-session.ts';
import { socketNote } from './socket-note.ts';
import type { SwaggerUi, SwaggerUiBundle } from './swagger-ui.ts';

declare const SwaggerUIBundle: SwaggerUiBundle;

const darkSystem = matchMedia('(prefers-color-scheme: dark)');

/** Swagger UI has a dark theme, which a class turns on. */
function showTheme(): void {
  const theme = document.documentElement.dataset['theme'] ?? (darkSystem.matches ? 'dark' : 'light');
  document.documentElement.classList.toggle('dark-mode', theme === 'dark');
}

applyTheme();
showTheme();
darkSystem.addEventListener('change', showTheme);
fillOuterBar('docs', showTheme);

const lastSession = new LastSession(() => ui.specSelectors.specJson().toJS());
const ui: SwaggerUi = SwaggerUIBundle({
  dom_id: '#swagger-ui',
  url: new URL('openapi.json', BASE_URL).href,
  deepLinking: true,
  // Without the bar that offers to open other documents: they could not be read.
  layout: 'BaseLayout',
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [compactJson, errorTables, socketNote],
  tryItOutEnabled: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.body = compacted(request.body);
    return lastSession.fillIn(request);
  },
  responseInterceptor: (response) => lastSession.note(response),
  onComplete: () => {
    const key = currentApiKey();
    if (key !== undefined) ui.preauthorizeApiKey('bearer', key);
  },
});
