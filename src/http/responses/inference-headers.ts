/** Of requests and responses of the Open Inference Protocol: the bytes of the JSON in front of tensors as bytes, uncompressed. */
export const HEADER_LENGTH = 'inference-header-content-length';
