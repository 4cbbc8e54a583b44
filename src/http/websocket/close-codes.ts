// Close codes of RFC 6455, section 7.4.1, and of its registry at IANA.

export const CLOSE_CODES = {
  goingAway: 1001,
  policyViolation: 1008,
  messageTooBig: 1009,
  tryAgainLater: 1013,
} as const;
