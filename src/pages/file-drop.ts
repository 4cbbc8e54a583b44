// A file that is dropped anywhere on the page; where nobody takes it, a browser would leave the page and show the file.

/** Until `signal` aborts. @param take called with the first file, and with all in the form in which a control takes them */
export function onFileDrop(signal: AbortSignal, take: (file: File, files: FileList) => void): void {
  document.addEventListener('dragover', (event) => event.preventDefault(), { signal });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    const files = event.dataTransfer?.files;
    if (files?.[0]) take(files[0], files);
  }, { signal });
}
