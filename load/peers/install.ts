// No install script: the one of onnxruntime-node downloads what only a GPU needs.
export const INSTALL_PEERS =
  'npm install --prefix load/peers --no-package-lock --ignore-scripts';
