// Drawing no more often than the screen is drawn.

/** A function that calls `draw` before the next frame, once however often it was called. */
export function onceAFrame(draw: () => void): () => void {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      draw();
    });
  };
}
