// GET /problems: the page that the `type` of every problem points to, made from the error table.
import { ERRORS } from '../../error-kinds.ts';
import { builtFolder } from '../built-files.ts';
import type { HttpServer } from '../http-server.ts';
import { PAGE_CONTENT_POLICY } from '../security-headers.ts';

/** @throws Error if the files that the page loads are not built */
export function problemsRoute(app: HttpServer): void {
  const page = problemsPage(builtFolder().url.slice(1));
  app.get('/problems', { schema: { hide: true } }, (_, reply) => {
    const headers = { 'content-security-policy': PAGE_CONTENT_POLICY, 'cache-control': 'no-cache' };
    void reply.headers(headers).type('text/html; charset=utf-8').send(page);
  });
}

/** @param files where the files of pages are, relative as the page may be behind any path */
function problemsPage(files: string): string {
  const entries = Object.entries(ERRORS).map(
    ([code, { status, title, advice }]) =>
      `<li id="${code}"><h2><a href="#${code}"><code>${code}</code></a> <span class="status">${status}</span> ${escapeHtml(title)}</h2>` +
      `<p>${withCode(escapeHtml(advice))}</p></li>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Errors · Carryover</title>
<link rel="icon" href="${files}/pages/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${files}/pages/problems.css">
<script type="module" src="${files}/pages/problems.js"></script>
</head>
<body>
<header class="bar"></header>
<main>
<h1>Errors</h1>
<p>The <code>code</code> of every error, which stays the same, with the status of its response and what to do. What was wrong in a
certain request is in the <code>detail</code> of its answer.</p>
<label class="field" hidden>Search<input type="search" id="search"></label>
<p id="found" class="weak" role="status" aria-live="polite"></p>
<ul class="problems">
${entries.join('\n')}
</ul>
</main>
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

/** What stands in backticks as code. */
function withCode(html: string): string {
  return html.replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}
