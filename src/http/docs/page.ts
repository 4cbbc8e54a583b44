// The page /docs: Swagger UI with the colours, the icon and the bar of the page at /.
import { builtFolder } from '../built-files.ts';

/**
 * @param base where the service is, as seen from the page: its addresses are relative, so that it works behind a gateway that
 *   strips a path
 * @throws Error if the files that it loads are not built
 */
export function docsPage(base: '' | '../'): string {
  const files = base + builtFolder().url.slice(1);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Carryover API</title>
<link rel="icon" href="${files}/pages/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${base}docs/static/swagger-ui.css">
<link rel="stylesheet" href="${files}/pages/docs.css">
<script defer src="${base}docs/static/swagger-ui-bundle.js"></script>
<script type="module" src="${files}/pages/docs.js"></script>
</head>
<body>
<header class="bar"></header>
<noscript><p>This page shows <a href="${base}openapi.json">the OpenAPI document</a> of the service, and needs JavaScript.</p></noscript>
<main id="swagger-ui"></main>
</body>
</html>
`;
}
