// What the view loads behind its first frame: the steps as the service computes them, which needs its client, and their picture.
export { Picture } from './picture.ts';
export { computeSteps } from './steps.ts';
