// Calls of the service as programs to copy: for a shell with curl, for JavaScript and for Python, each without anything to
// install.

/** Stands in a path or a body for the id of the session that an earlier call of the list has created. */
export const SESSION = '$session';

export interface SnippetCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/v1/step`; a session's with SESSION in place of the id. */
  readonly path: string;
  /** JSON. */
  readonly body?: unknown;
  /** In place of a body: a file, by its name in the folder in which the program is run. */
  readonly file?: string;
  /** Whether the answer is a session, which later calls name by SESSION. */
  readonly isSession?: boolean;
}

export interface SnippetService {
  /** With a slash at the end. */
  readonly baseUrl: URL;
  /** Whether calls need an API key; programs read it from the environment. */
  readonly needsKey: boolean;
}

export const SNIPPETS = {
  curl: curlOf,
  JavaScript: javascriptOf,
  Python: pythonOf,
} as const satisfies Record<string, (calls: readonly SnippetCall[], service: SnippetService) => string>;

const QUOTED_SESSION = JSON.stringify(SESSION);

function curlOf(calls: readonly SnippetCall[], { baseUrl, needsKey }: SnippetService): string {
  const key = needsKey ? ` \\\n  -H "authorization: Bearer $CARRYOVER_API_KEY"` : '';
  const lines = calls.map(({ method, path, body, file, isSession }) => {
    const verb = method === (body === undefined && file === undefined ? 'GET' : 'POST') ? '' : ` -X ${method}`;
    const json = body === undefined ? '' : ` \\\n  -H 'content-type: application/json' \\\n  -d ${shellText(JSON.stringify(body))}`;
    const bytes = file === undefined ? '' : ` \\\n  -H 'content-type: application/octet-stream' \\\n  --data-binary ${quoted(`@${file}`)}`;
    const call = `curl -s${verb} "${addressOf(baseUrl, path)}"${key}${json}${bytes}`;
    return isSession ? `session=$(${call} | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')` : call;
  });
  return `${lines.join('\n')}\n`;
}

/** In single quotes, but for the session, which the shell puts in. */
function shellText(text: string): string {
  return quoted(text).replaceAll(SESSION, `'"$session"'`);
}

/** As one word of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function javascriptOf(calls: readonly SnippetCall[], { baseUrl, needsKey }: SnippetService): string {
  const key = needsKey ? ', authorization: `Bearer ${process.env.CARRYOVER_API_KEY}`' : '';
  const hasFile = calls.some(({ file }) => file !== undefined);
  const lines = calls.map(({ method, path, body, file, isSession }) => {
    const address = path.includes(SESSION) ? `\`${path.replaceAll(SESSION, '${session}')}\`` : `'${path}'`;
    const json = body === undefined ? '' : `, ${JSON.stringify(body).replaceAll(QUOTED_SESSION, 'session')}`;
    const value = file === undefined ? json : `, await readFile(${JSON.stringify(file)})`;
    const call = `await call('${method}', ${address}${value})`;
    return isSession ? `const session = (${call}).id;` : `console.log(JSON.stringify(${call}));`;
  });
  const head = hasFile
    ? `// Node.js 18 or newer: node program.mjs\nimport { readFile } from 'node:fs/promises';\n`
    : '// Node.js 18 or newer, or the console of a browser: node program.mjs';
  const type = hasFile ? `body instanceof Uint8Array ? 'application/octet-stream' : 'application/json'` : `'application/json'`;
  const data = hasFile ? 'body instanceof Uint8Array ? body : JSON.stringify(body)' : 'JSON.stringify(body)';
  return `${head}
const service = '${addressOf(baseUrl, '')}';

async function call(method, path, body) {
  const headers = { ...(body && { 'content-type': ${type} })${key} };
  const response = await fetch(service + path, { method, headers, body: ${data} });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text && JSON.parse(text);
}

${lines.join('\n')}
`;
}

function pythonOf(calls: readonly SnippetCall[], { baseUrl, needsKey }: SnippetService): string {
  const key = needsKey ? `\n    headers["authorization"] = "Bearer " + os.environ["CARRYOVER_API_KEY"]` : '';
  const hasFile = calls.some(({ file }) => file !== undefined);
  const lines = calls.map(({ method, path, body, file, isSession }) => {
    const address = path.includes(SESSION) ? `f"${path.replaceAll(SESSION, '{session}')}"` : `"${path}"`;
    const json = body === undefined ? '' : `, ${pythonValue(body)}`;
    const value = file === undefined ? json : `, open(${JSON.stringify(file)}, "rb").read()`;
    const call = `call("${method}", ${address}${value})`;
    return isSession ? `session = ${call}["id"]` : `print(${call})`;
  });
  const bytes = hasFile ? '\n    if isinstance(body, bytes):\n        data, headers["content-type"] = body, "application/octet-stream"' : '';
  const unencoded = hasFile ? 'body is None or isinstance(body, bytes)' : 'body is None';
  return `import json${needsKey ? ', os' : ''}, urllib.request

service = "${addressOf(baseUrl, '')}"


def call(method, path, body=None):
    data = None if ${unencoded} else json.dumps(body).encode()
    headers = {} if body is None else {"content-type": "application/json"}${bytes}${key}
    request = urllib.request.Request(service + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


${lines.join('\n')}
`;
}

/** A value of JSON as Python writes it. */
function pythonValue(value: unknown): string {
  if (value === SESSION) return 'session';
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(', ')}]`;
  if (typeof value !== 'object') return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pythonValue(one)}`).join(', ')}}`;
}

function addressOf(baseUrl: URL, path: string): string {
  return baseUrl.href.replace(/\/$/, '') + path;
}
