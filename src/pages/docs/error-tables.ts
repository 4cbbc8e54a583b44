// The errors of an operation as one table, closed until it is asked for, in place of one response for each status.
import { BASE_URL } from '../outer-bar.ts';
import { type ImmutableMap, type Plugin, type System, once } from './swagger-ui.ts';

/** What the description of a response says: `code`: Title. */
const ERROR = /`(\w+)`: ([^`]+?)\.(?= `|$)/g;

export const errorTables: Plugin = {
  wrapComponents: {
    responses: once((Original, system) => (props) => {
      const responses = props['responses'] as ImmutableMap;
      const isProblem = (response: ImmutableMap) => response.getIn(['content', 'application/problem+json']) !== undefined;
      const problems = responses.filter(isProblem);
      const { createElement } = system.React;
      return createElement(
        'div',
        null,
        createElement(Original, { ...props, responses: responses.filter((response) => !isProblem(response)) }),
        problems.size > 0 ? errorTable(problems, system) : null,
      );
    }),
  },
};

function errorTable(problems: ImmutableMap, { React: { createElement } }: System) {
  const errors = problems.entrySeq().toArray().flatMap(([status, response]) =>
    [...String(response.get('description')).matchAll(ERROR)].map(([, code, title]) => ({ status, code: code!, title: title! })),
  );
  const rows = errors.map(({ status, code, title }) =>
    createElement(
      'tr',
      { key: code },
      createElement('td', null, status),
      createElement('td', null, createElement('a', { href: new URL(`problems#${code}`, BASE_URL).href }, createElement('code', null, code))),
      createElement('td', null, title),
    ),
  );
  const heads = ['Status', 'Code', 'Meaning'].map((text) => createElement('th', { key: text, scope: 'col' }, text));
  return createElement(
    'details',
    { className: 'errors' },
    createElement('summary', null, `Errors (${errors.length}), as application/problem+json`),
    createElement('table', null, createElement('thead', null, createElement('tr', null, ...heads)), createElement('tbody', null, ...rows)),
  );
}
