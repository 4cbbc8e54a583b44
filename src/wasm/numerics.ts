// Which bits the kernels compute. A change of an order of additions, of tanh, or of anything else that
// changes a bit of a result gives this another number: what was committed under one number is never
// computed again under another.

/** 1: a product and a sum are rounded apart, in the orders of kernels/README.md. */
export const NUMERICS = 1;
