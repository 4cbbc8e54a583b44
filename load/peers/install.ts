// Without install scripts: that of onnxruntime-node downloads libraries for GPUs only.
export const INSTALL_PEERS =
  'npm install --prefix load/peers --no-package-lock --ignore-scripts';
