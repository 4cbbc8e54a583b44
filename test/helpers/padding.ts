/** The same JSON, larger: with spaces behind the last number of its last tensor. Elsewhere a body may have few. */
export function padded(json: string, spaces: number): string {
  const at = json.lastIndexOf(']]');
  return json.slice(0, at) + ' '.repeat(spaces) + json.slice(at);
}
