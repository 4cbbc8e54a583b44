// Close codes of RFC 6455, section 7.4.1, and of its registry at IANA; those from 4000 on are our own: 4000 + the status of
// HTTP.

export const CLOSE_CODES = {
  goingAway: 1001,
  policyViolation: 1008,
  messageTooBig: 1009,
  tryAgainLater: 1013,
  unauthenticated: 4401,
} as const;
