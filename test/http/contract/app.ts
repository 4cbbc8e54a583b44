// A service with small limits, and weights, for the tests of this folder.
import { buildApp } from '../../helpers/app.ts';

export const buildSmallApp = () =>
  buildApp({
    N_MAX: '8',
    D_MAX: '8',
    H_MAX: '8',
    T_MAX: '8',
    WORK_FLOPS_MAX: '20000',
    ANSWER_NUMBERS_MAX: '400',
    BODY_BYTES_MAX: '20000',
  });

export const row = (size: number, value = 0.5) => Array<number>(size).fill(value);
export const matrix = (rows: number, columns: number) => Array.from({ length: rows }, () => row(columns));
export const weights = (D: number, H: number) => ({ W_x: matrix(D, H), W_h: matrix(H, H), b: row(H) });
/** D = 2, H = 3. */
export const W = weights(2, 3);
