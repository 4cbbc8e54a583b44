// The version of the numerics: which bits the kernels compute. A change of an order of additions, of tanh, or of
// anything else that changes a bit of a result increments it: states committed under one number are never continued
// under another.

/** 1: a product and a sum are rounded apart, in the orders of kernels/README.md. */
export const NUMERICS = 1;
