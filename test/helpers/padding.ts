/** The same JSON, larger: with spaces behind the last number of its last tensor, where the bounds allow them. */
export function padded(json: string, spaces: number): string {
  const at = json.lastIndexOf(']]');
  return json.slice(0, at) + ' '.repeat(spaces) + json.slice(at);
}
