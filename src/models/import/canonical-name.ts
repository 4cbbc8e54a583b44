// The names of tensors as they are looked up: without what wrappers put before them, and with the spelling of Keras 2.
//
//   module.…                 torch.nn.DataParallel and DistributedDataParallel
//   _orig_mod.…              torch.compile, also of a part of a model
//   model.…                  Lightning modules, and others that hold a model
//   …:0                      Keras 2
//   …cell/vars/0, 1, 2       Keras 3: kernel, recurrent_kernel, bias, in the order in which it creates them

const WRAPPERS = /^(?:(?:module|_orig_mod|model)\.)+/;
const CELL_VARIABLES = ['kernel', 'recurrent_kernel', 'bias'];

/** Several spellings may have one canonical name. */
export function canonicalName(name: string): string {
  return name
    .replace(WRAPPERS, '')
    .replaceAll('._orig_mod.', '.')
    .replace(/:0$/, '')
    .replace(/(?<=(?:^|[/.])cell[/.])vars[/.]([012])$/, (_, k: string) => CELL_VARIABLES[Number(k)]!);
}

/** What is before the name of a tensor in the layer with this path, e.g. `lstm.`; empty for the path of all. */
export function canonicalPrefix(path: string, separator: string): string {
  return path === '' ? '' : canonicalName(`${path}${separator}`);
}
