/** Whether supervisors and gateways ask here whether the service is well. Such requests are served first, and not traced. */
export function isHealthAddress(url: string): boolean {
  return url.startsWith('/health/') || url.startsWith('/v2/health/');
}
