// GET /problems: the page that the `type` of every problem points to, made from the error table.
import { ERRORS } from '../../error-kinds.ts';
import type { HttpServer } from '../http-server.ts';

export function problemsRoute(app: HttpServer): void {
  const entries = Object.entries(ERRORS).map(
    ([code, { status, title, advice }]) =>
      `<dt id="${code}"><code>${code}</code> · ${status} · ${escapeHtml(title)}</dt>` +
      `<dd>${escapeHtml(advice)}</dd>`,
  );
  const page =
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Carryover: errors</title>' +
    `<h1>Errors</h1><dl>${entries.join('\n')}</dl></html>`;
  app.get('/problems', { schema: { hide: true } }, (_, reply) => {
    void reply.type('text/html; charset=utf-8').send(page);
  });
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
