/** An error whose message is printed without a stack. */
export class DemoError extends Error {}
