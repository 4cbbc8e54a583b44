// The version of the numerics: which bits the kernels compute. A change of an order of additions, of tanh, or of
// anything else that changes a bit of a result increments it: states committed under one number are never continued
// under another.

/** 2: products are added by fused multiply-adds, in the orders of kernels/README.md; 1 rounded product and sum apart. */
export const NUMERICS = 2;
